//! Personal data by three sorts of readers: recognisers, which know shapes and check digits; the model, which knows names
//! and places from what stands around them; and lists with a little grammar, which know them in other languages than English.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use pointsman_semantics::names;
use pointsman_semantics::recognise::{self, Recognisers};
use pointsman_semantics::service::Refused;

use crate::answer::Entity;
use crate::failed::Failed;

/// How sure a recogniser must be.
const LEAST: f32 = 0.5;
/// Bytes of a text that is looked at at once.
const SHORT: usize = 8 * 1024;
/// How sure the model must be where nearly any word may be what it tells.
const SURE: f32 = 0.9;
/// How sure a name is that lists and grammar tell by themselves.
const LISTED: f32 = 0.9;
/// How sure one is that counts beside something else.
const LIKELY: f32 = 0.6;
/// Kinds of which a part says something, too.
const PARTS: [&str; 5] = ["PERSON", "GPE", "ORGANIZATION", "STREET_ADDRESS", "NRP"];
/// What only the model tells.
pub const BY_MODEL: [&str; 7] = [
    "PERSON",
    "GPE",
    "LOCATION",
    "ORGANIZATION",
    "STREET_ADDRESS",
    "NRP",
    "TITLE",
];

/// Whether only the model tells something of this name: the kinds that are meant.
#[must_use]
pub fn told_by_model(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "PERSON" => &["PERSON"],
        "GPE" => &["GPE"],
        "LOCATION" => &["GPE", "STREET_ADDRESS"],
        "ORGANIZATION" => &["ORGANIZATION"],
        "STREET_ADDRESS" => &["STREET_ADDRESS"],
        "NRP" => &["NRP"],
        "TITLE" => &["TITLE"],
        _ => return None,
    })
}

fn shipped() -> Option<&'static Recognisers> {
    static SHIPPED: OnceLock<Option<Recognisers>> = OnceLock::new();
    let compiled = SHIPPED.get_or_init(|| {
        let all = recognise::shipped().and_then(Recognisers::compile);
        all.map_err(|error| tracing::error!(%error, "there are no recognisers"))
            .ok()
    });
    compiled.as_ref()
}

/// What the recognisers that ship find in a text.
#[must_use]
pub fn recognised(text: &str) -> Vec<Entity> {
    let Some(recognisers) = shipped() else {
        return Vec::new();
    };
    let found = recognisers.find(text, LEAST);
    let entities = found.iter().map(|one| Entity {
        kind: recognisers.definition(one).entity.clone(),
        start: one.start,
        end: one.end,
        probability: one.score,
        recognised: true,
    });
    entities.collect()
}

/// What the model told of a text, with the names that lists and grammar tell. Neither a long text nor the first one, which the
/// lists are read for, is looked at on the thread that asks.
pub(crate) async fn named(text: &Arc<str>, told: Vec<Entity>) -> Result<Vec<Entity>, Failed> {
    if text.len() <= SHORT && names::is_ready() {
        return Ok(with_names(text, told));
    }
    let own = Arc::clone(text);
    let found = tokio::task::spawn_blocking(move || {
        names::prepare();
        with_names(&own, told)
    });
    found.await.map_err(|_| Refused::Failed.into())
}

/// Where both tell something, lists and grammar know better where it ends, if they are sure. What they are not sure of counts
/// where the model said nothing else, in a text that has something else of a person.
fn with_names(text: &str, mut told: Vec<Entity>) -> Vec<Entity> {
    let mut names = names::find(text);
    let personal = !told.is_empty() || names.iter().any(|one| one.sure);
    // Of which the model told something else than a part.
    let mut taken = vec![false; names.len()];
    let part = |one: &names::Name, other: &Entity| {
        one.kind.entity() == other.kind && one.start <= other.start && other.end <= one.end
    };
    for other in &told {
        let at = meeting(&names, other, |one| one.start..one.end);
        for (one, taken) in names[at.clone()].iter().zip(&mut taken[at]) {
            *taken |= !part(one, other);
        }
    }
    let mut taken = taken.into_iter();
    names.retain(|one| (!taken.next().unwrap_or_default() && personal) || one.sure);
    told.retain(|other| {
        let at = meeting(&names, other, |one| one.start..one.end);
        names[at].iter().all(|one| one.kind.entity() != other.kind)
    });
    let names = names.iter().map(|one| Entity {
        kind: one.kind.entity().to_owned(),
        start: one.start,
        end: one.end,
        probability: if one.sure { LISTED } else { LIKELY },
        recognised: false,
    });
    joined(text, names.collect(), told)
}

/// Which of finds that stand in the order of the text, without overlaps, have a part of another. They are looked up: either
/// side may be tens of thousands.
fn meeting<T>(all: &[T], other: &Entity, place: impl Fn(&T) -> Range<usize>) -> Range<usize> {
    let from = all.partition_point(|one| place(one).end <= other.start);
    let behind = all[from..].partition_point(|one| place(one).start < other.end);
    from..from + behind
}

/// What recognisers and the model together find in a text; `told` is the model's. A long text is not looked at on the thread
/// that asks.
pub(crate) async fn found(text: &Arc<str>, told: Vec<Entity>) -> Result<Vec<Entity>, Failed> {
    if text.len() <= SHORT {
        return Ok(joined(text, recognised(text), told));
    }
    let own = Arc::clone(text);
    let found = tokio::task::spawn_blocking(move || joined(&own, recognised(&own), told));
    found.await.map_err(|_| Refused::Failed.into())
}

/// What is found by either. Where they overlap, a recogniser's word counts; what it leaves of a name or an address stays. But
/// a code within an address is a part of it. What was recognised stands in the order of the text, without overlaps.
#[must_use]
pub fn joined(text: &str, mut recognised: Vec<Entity>, told: Vec<Entity>) -> Vec<Entity> {
    let mut parts = vec![false; recognised.len()];
    for other in told.iter().filter(|other| other.kind == "STREET_ADDRESS") {
        let at = meeting(&recognised, other, |one| one.start..one.end);
        for (one, part) in recognised[at.clone()].iter().zip(&mut parts[at]) {
            *part |= one.kind == "ZIP_CODE" && other.start < one.start && one.end <= other.end;
        }
    }
    let mut parts = parts.into_iter();
    recognised.retain(|_| !parts.next().unwrap_or_default());
    let mut all = Vec::with_capacity(recognised.len() + told.len());
    for one in told {
        let overlapping = &recognised[meeting(&recognised, &one, |other| other.start..other.end)];
        let mut from = one.start;
        let mut whole = true;
        for other in overlapping {
            whole = false;
            all.extend(rest(text, &one, from..other.start));
            from = from.max(other.end);
        }
        if whole {
            all.push(one);
        } else {
            let behind = rest(text, &one, from..one.end);
            all.extend(behind);
        }
    }
    all.extend(recognised);
    all.sort_by_key(|one| one.start);
    all
}

/// What is left of a find of the model beside what a recogniser found in it; none where that is no part of its own.
fn rest(text: &str, of: &Entity, at: Range<usize>) -> Option<Entity> {
    if !PARTS.contains(&of.kind.as_str()) {
        return None;
    }
    let part = text.get(at.clone())?;
    let start = at.start
        + (part.len()
            - part
                .trim_start_matches(|letter: char| !letter.is_alphanumeric())
                .len());
    let end = at.end
        - (part.len()
            - part
                .trim_end_matches(|letter: char| !letter.is_alphanumeric())
                .len());
    (start < end && text[start..end].chars().nth(1).is_some()).then(|| Entity {
        start,
        end,
        ..of.clone()
    })
}

/// Whether what the model tells could be that: a number has digits, an address by mail its sign, a street more than a word.
#[must_use]
pub fn is_plausible(text: &str, entity: &Entity) -> bool {
    let Some(value) = text.get(entity.start..entity.end) else {
        return false;
    };
    let digits = value.chars().filter(char::is_ascii_digit).count();
    match entity.kind.as_str() {
        "AGE" | "BANK_ACCOUNT" | "CREDIT_CARD" | "IBAN_CODE" | "NATIONAL_ID" | "PASSPORT" | "US_SSN"
        | "US_DRIVER_LICENSE" | "MEDICAL_LICENSE" | "ZIP_CODE" => digits > 0,
        "PHONE_NUMBER" => digits >= 6,
        "EMAIL_ADDRESS" => value.contains('@'),
        "STREET_ADDRESS" => {
            // Writing without spaces has words nevertheless.
            let several =
                digits > 0 || value.contains(' ') || value.chars().any(|letter| letter >= '\u{2e80}');
            let is_street = value.len() >= 4 && several && value.chars().any(char::is_alphabetic);
            is_street || entity.probability >= SURE
        }
        "TITLE" => entity.probability >= SURE,
        _ => true,
    }
}

/// Finds of the text `of`, where they stand in `text`, which is the same but for what was replaced in it. Those that were
/// replaced are gone.
pub fn moved<'e>(of: &str, text: &str, entities: impl Iterator<Item = &'e Entity>) -> Vec<Entity> {
    if of == text {
        return entities.cloned().collect();
    }
    let mut from = 0;
    let mut all = Vec::new();
    for entity in entities {
        let Some(value) = of.get(entity.start..entity.end) else {
            continue;
        };
        // The first one may have been replaced, and what was found for it stands far behind.
        let behind = text[from..].find(value).map(|at| from + at);
        if let Some(start) = behind.or_else(|| text.find(value)) {
            from = start + value.len();
            all.push(Entity {
                start,
                end: from,
                ..entity.clone()
            });
        }
    }
    all.sort_by_key(|one| one.start);
    let mut end = 0;
    all.retain(|one| {
        let free = one.start >= end;
        end = end.max(one.end);
        free
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(text: &str, value: &str, kind: &str, recognised: bool) -> Entity {
        let start = text.find(value).unwrap();
        Entity {
            kind: kind.to_owned(),
            start,
            end: start + value.len(),
            probability: 0.8,
            recognised,
        }
    }

    fn told<'t>(text: &'t str, all: &'t [Entity]) -> Vec<(&'t str, &'t str)> {
        let each = all
            .iter()
            .map(|one| (one.kind.as_str(), &text[one.start..one.end]));
        each.collect()
    }

    #[test]
    fn a_recognisers_word_counts_and_the_rest_of_an_address_stays() {
        let text = "1517 Christina Harbors, PE S5R 7A5, call 555-0100";
        let address = entity(
            text,
            "1517 Christina Harbors, PE S5R 7A5",
            "STREET_ADDRESS",
            false,
        );
        let number = entity(text, "call 555-0100", "PHONE_NUMBER", false);
        let recognised = vec![
            entity(text, "S5R 7A5", "ZIP_CODE", true),
            entity(text, "555-0100", "PHONE_NUMBER", true),
        ];
        let all = joined(text, recognised, vec![address, number]);
        let expected = [
            ("STREET_ADDRESS", "1517 Christina Harbors, PE S5R 7A5"),
            ("PHONE_NUMBER", "555-0100"),
        ];
        assert_eq!(told(text, &all), expected);
        let address = entity(text, "1517 Christina Harbors, PE S5R", "STREET_ADDRESS", false);
        let number = entity(text, "S5R 7A5", "PHONE_NUMBER", true);
        let expected = [
            ("STREET_ADDRESS", "1517 Christina Harbors, PE"),
            ("PHONE_NUMBER", "S5R 7A5"),
        ];
        assert_eq!(told(text, &joined(text, vec![number], vec![address])), expected);
    }

    #[test]
    fn names_of_lists_end_where_they_do_and_likely_ones_need_company() {
        let text = "Mi cuñada Begoña vive en Toledo, dice.";
        let model = vec![entity(text, "Begoña vive", "PERSON", false)];
        let expected = [("PERSON", "Begoña"), ("GPE", "Toledo")];
        assert_eq!(told(text, &with_names(text, model)), expected);
        let text = "¿Cuántas personas hay en Toledo?";
        assert!(with_names(text, Vec::new()).is_empty());
        let model = vec![entity(text, "Toledo", "ORGANIZATION", false)];
        assert_eq!(told(text, &with_names(text, model)), [("ORGANIZATION", "Toledo")]);
    }

    #[test]
    fn tens_of_thousands_of_finds_on_either_side_are_joined_at_once() {
        const MANY: usize = 70_000;
        let of = |text: &str, value: &str, kind: &str, recognised: bool| -> Vec<Entity> {
            let every = text.match_indices(value).map(|(start, _)| Entity {
                kind: kind.to_owned(),
                start,
                end: start + value.len(),
                probability: 0.8,
                recognised,
            });
            every.collect()
        };
        // Each pair of both lists compared would be 4,900,000,000.
        let text = "Frau Dr. Weber ruft an. ".repeat(MANY);
        let all = with_names(&text, of(&text, "Weber ruft", "PERSON", false));
        let weber = all.iter().filter(|one| one.kind == "PERSON");
        assert!(weber.clone().all(|one| text[one.start..one.end] == *"Weber"));
        assert_eq!(weber.count(), MANY);
        let text = "1 High Street, 90210; ".repeat(MANY);
        let told = of(&text, "1 High Street, 90210", "STREET_ADDRESS", false);
        let codes = of(&text, "90210", "ZIP_CODE", true);
        let numbers = of(&text, "90210", "PHONE_NUMBER", true);
        assert_eq!(joined(&text, codes, told.clone()).len(), MANY);
        let all = joined(&text, numbers, told);
        assert_eq!(all.len(), 2 * MANY);
        let mut streets = all.iter().step_by(2);
        assert!(streets.all(|one| text[one.start..one.end] == *"1 High Street"));
    }

    #[test]
    fn finds_are_found_again_where_something_was_replaced_before_them() {
        let of = "Ann met Bob, then Ann left";
        let text = "[X] met Bob, then Ann left";
        let entities = [
            entity(of, "Ann", "PERSON", false),
            entity(of, "Bob", "PERSON", false),
            Entity {
                start: 18,
                end: 21,
                ..entity(of, "Ann", "PERSON", false)
            },
        ];
        let all = moved(of, text, entities.iter());
        assert_eq!(told(text, &all), [("PERSON", "Bob"), ("PERSON", "Ann")]);
    }

    #[test]
    fn what_cannot_be_is_not() {
        let text = "harina, 7 huevos, jane, 30 Main Street";
        let is = |value: &str, kind: &str| is_plausible(text, &entity(text, value, kind, false));
        assert!(
            !is("harina", "STREET_ADDRESS")
                && !is("7", "STREET_ADDRESS")
                && is("30 Main Street", "STREET_ADDRESS")
        );
        assert!(
            !is("huevos", "AGE") && is("30", "AGE") && !is("jane", "EMAIL_ADDRESS") && is("jane", "PERSON")
        );
    }
}
