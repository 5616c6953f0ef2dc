//! `remom`: rounds of answers side by side, each round made of the one before, and one answer at the end.

use serde::Serialize;

use super::template::{Reference, Template};
use super::{Rules, Said, Terms};
use crate::selection::{Chance, Selected};

/// Letters for about one token.
const LETTERS_PER_TOKEN: usize = 4;

/// How later rounds are asked, where the configuration has no words of its own.
pub(super) const USUAL: &str = "Several assistants have answered the problem below. Weigh their answers, and then \
give the best answer you can.\n\nThe problem:\n{{.OriginalContent}}\n\nThe answers:\n{{range $i, $resp := .ReferenceResponses}}\n\
Answer {{add $i 1}}{{if $resp.Model}} ({{$resp.Model}}){{end}}:\n{{$resp.Content}}\n{{end}}\n\
Now give your own complete answer to the problem.";

/// The same where they see what the others thought.
pub(super) const USUAL_WITH_REASONING: &str = "Several assistants have answered the problem below, and told how they came \
to it. Weigh their reasoning and their answers, and then give the best answer you can.\n\nThe problem:\n{{.OriginalContent}}\n\n\
The answers:\n{{range $i, $resp := .ReferenceResponses}}\nAnswer {{add $i 1}}{{if $resp.Model}} ({{$resp.Model}}){{end}}:\n\
{{if $resp.Reasoning}}Reasoning:\n{{$resp.Reasoning}}\n\nIn short:\n{{end}}{{$resp.Content}}\n{{end}}\n\
Now give your own complete answer to the problem, and say why.";

/// Rounds of answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Remom {
    pub(super) models: Vec<(Selected, f64)>,
    /// How many answers each round has, the last one included.
    pub(super) schedule: Vec<usize>,
    pub(super) distribution: Distribution,
    pub(super) synthesis: Option<Selected>,
    pub(super) template: Template,
    pub(super) reasoning: bool,
    /// Letters that are left of an answer, from its end.
    pub(super) compaction: Option<usize>,
    pub(super) shown: Option<usize>,
    pub(super) seed: u64,
    /// Whether the client is shown the rounds.
    pub show: bool,
    /// What all calls change of the request.
    pub terms: Terms,
    /// How the calls of a round are made.
    pub rules: Rules,
}

/// Who gives how many of a round's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Distribution {
    Weighted,
    Equal,
    RoundRobin,
    FirstOnly,
}

/// A round, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoundTrace {
    /// Its number, from 1.
    pub round: usize,
    /// How many answers it was to have.
    pub breadth: usize,
    /// What was said.
    pub responses: Vec<RoundAnswer>,
}

/// An answer of a round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoundAnswer {
    /// Who gave it.
    pub model: String,
    /// What it says.
    pub content: String,
    /// What was thought before.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    /// What the next round saw of it.
    pub compacted_content: String,
    /// About how many tokens it has.
    pub token_count: usize,
}

impl Remom {
    /// Its models.
    pub fn models(&self) -> impl Iterator<Item = &Selected> {
        self.models
            .iter()
            .map(|(selected, _)| selected)
            .chain(&self.synthesis)
    }

    /// How many answers each round has; the last round has one.
    #[must_use]
    pub fn schedule(&self) -> &[usize] {
        &self.schedule
    }

    /// Who is asked in a round.
    #[must_use]
    pub fn calls(&self, round: usize) -> Vec<&Selected> {
        let Some(breadth) = self.schedule.get(round).copied() else {
            return Vec::new();
        };
        if let Some(synthesis) = self
            .synthesis
            .as_ref()
            .filter(|_| round + 1 == self.schedule.len())
        {
            return vec![synthesis];
        }
        let count = self.models.len();
        let mut places: Vec<usize> = match self.distribution {
            Distribution::FirstOnly => return vec![&self.models[0].0; breadth],
            Distribution::RoundRobin => {
                let each = (0..breadth).map(|call| &self.models[call % count].0);
                return each.collect();
            }
            Distribution::Equal => (0..count)
                .flat_map(|place| {
                    let own = breadth / count + usize::from(place < breadth % count);
                    std::iter::repeat_n(place, own)
                })
                .collect(),
            Distribution::Weighted => self.by_weight(breadth),
        };
        shuffle(&mut places, self.seed);
        places.into_iter().map(|place| &self.models[place].0).collect()
    }

    /// Each model's share by its weight; what is left over goes to the largest remainders.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a round has a few calls"
    )]
    fn by_weight(&self, breadth: usize) -> Vec<usize> {
        let total: f64 = self.models.iter().map(|(_, weight)| weight).sum();
        let mut shares: Vec<(usize, usize, f64)> = self
            .models
            .iter()
            .enumerate()
            .map(|(place, (_, weight))| {
                let exact = weight / total * breadth as f64;
                (place, exact.floor() as usize, exact.fract())
            })
            .collect();
        let given: usize = shares.iter().map(|(_, own, _)| own).sum();
        shares.sort_by(|left, right| right.2.total_cmp(&left.2));
        for share in shares.iter_mut().take(breadth.saturating_sub(given)) {
            share.1 += 1;
        }
        shares.sort_by_key(|(place, ..)| *place);
        shares
            .into_iter()
            .flat_map(|(place, own, _)| std::iter::repeat_n(place, own))
            .collect()
    }

    /// The answers of a round as the next shall see them: no more than are shown, the longest first, then shuffled, so that
    /// their place says nothing.
    #[must_use]
    pub fn arrange(&self, mut said: Vec<Said>) -> Vec<Said> {
        said.sort_by_key(|said| std::cmp::Reverse(said.material().len()));
        shuffle(&mut said, self.seed);
        said.truncate(self.shown.unwrap_or(usize::MAX));
        said
    }

    /// What the next round is asked.
    #[must_use]
    pub fn prompt(&self, original: &str, before: &[Said]) -> String {
        let reference = |said: &Said| {
            let bare = said.text.trim().is_empty();
            let reasoning = if self.reasoning {
                said.reasoning.clone()
            } else {
                String::new()
            };
            let text = if self.reasoning && bare {
                ""
            } else {
                said.material()
            };
            Reference {
                said: Said {
                    model: said.model.clone(),
                    text: self.compact(text).to_owned(),
                    reasoning,
                },
            }
        };
        let references: Vec<Reference> = before.iter().map(reference).collect();
        self.template.fill(original, &references)
    }

    fn compact<'t>(&self, text: &'t str) -> &'t str {
        let Some(letters) = self.compaction.filter(|letters| text.len() > *letters) else {
            return text;
        };
        let mut from = text.len() - letters;
        while !text.is_char_boundary(from) {
            from += 1;
        }
        &text[from..]
    }

    /// The best of earlier answers, where there is no last one: the longest; of equals, the later.
    #[must_use]
    pub fn best(rounds: &[Vec<Said>]) -> Option<&Said> {
        let mut best: Option<&Said> = None;
        for said in rounds.iter().rev().flatten() {
            let length = said.text.trim().len();
            if length > best.map_or(0, |best| best.text.trim().len()) {
                best = Some(said);
            }
        }
        best
    }

    /// A round, as it is told.
    #[must_use]
    pub fn trace(&self, round: usize, said: &[Said]) -> RoundTrace {
        let answer = |said: &Said| RoundAnswer {
            model: said.model.clone(),
            content: said.text.clone(),
            reasoning: said.reasoning.clone(),
            compacted_content: self.compact(said.material()).to_owned(),
            token_count: said.material().len() / LETTERS_PER_TOKEN,
        };
        RoundTrace {
            round: round + 1,
            breadth: self.schedule.get(round).copied().unwrap_or(0),
            responses: said.iter().map(answer).collect(),
        }
    }
}

/// Letters of so many tokens.
pub(super) fn letters(tokens: u32) -> usize {
    (tokens as usize).saturating_mul(LETTERS_PER_TOKEN)
}

fn shuffle<T>(all: &mut [T], seed: u64) {
    let mut chance = Chance::new(seed);
    for at in (1..all.len()).rev() {
        all.swap(at, chance.below(at + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::super::OnError;
    use super::*;

    fn remom(distribution: Distribution, schedule: &[usize], weights: &[f64]) -> Remom {
        let selected = |name: String| Selected {
            model: name,
            lora_name: None,
            reasoning: None,
            use_reasoning: None,
        };
        Remom {
            models: weights
                .iter()
                .enumerate()
                .map(|(place, weight)| (selected(format!("m{place}")), *weight))
                .collect(),
            schedule: schedule.to_vec(),
            distribution,
            synthesis: None,
            template: Template::parse(USUAL).unwrap(),
            reasoning: false,
            compaction: None,
            shown: None,
            seed: 7,
            show: false,
            terms: Terms::default(),
            rules: Rules {
                at_once: None,
                enough: None,
                time: None,
                on_error: OnError::Skip,
            },
        }
    }

    fn counts(remom: &Remom, round: usize) -> Vec<usize> {
        let calls = remom.calls(round);
        let of = |place: usize| {
            calls
                .iter()
                .filter(|call| call.model == format!("m{place}"))
                .count()
        };
        (0..remom.models.len()).map(of).collect()
    }

    fn said(text: &str) -> Said {
        Said {
            model: "m".to_owned(),
            text: text.to_owned(),
            reasoning: "because".to_owned(),
        }
    }

    #[test]
    fn calls_are_shared_as_the_distribution_says() {
        let of = |distribution, weights: &[f64]| counts(&remom(distribution, &[7, 1], weights), 0);
        assert_eq!(of(Distribution::Weighted, &[4.0, 2.0, 1.0]), [4, 2, 1]);
        assert_eq!(of(Distribution::Weighted, &[1.0, 1.0, 0.0]), [4, 3, 0]);
        assert_eq!(of(Distribution::Equal, &[9.0, 1.0, 0.0]), [3, 2, 2]);
        assert_eq!(of(Distribution::RoundRobin, &[1.0, 1.0]), [4, 3]);
        assert_eq!(of(Distribution::FirstOnly, &[1.0, 1.0]), [7, 0]);
        let mut one = remom(Distribution::RoundRobin, &[2, 1], &[1.0, 1.0]);
        assert_eq!(one.calls(1)[0].model, "m0");
        one.synthesis = Some(one.models[1].0.clone());
        assert_eq!(one.calls(1)[0].model, "m1");
        assert_eq!(one.calls(0).len(), 2, "only the last round is its");
        assert!(one.calls(2).is_empty());
    }

    #[test]
    fn the_next_round_sees_what_it_shall() {
        let mut remom = remom(Distribution::RoundRobin, &[3, 1], &[1.0]);
        remom.shown = Some(2);
        remom.compaction = Some(4);
        let arranged = remom.arrange(vec![said("one"), said("the second"), said("3")]);
        assert_eq!(arranged.len(), 2);
        assert_eq!(
            arranged,
            remom.arrange(vec![said("one"), said("the second"), said("3")]),
            "by its seed"
        );
        let prompt = remom.prompt("why?", &[said("the secönd"), said("")]);
        assert!(prompt.contains("why?") && prompt.contains("\nönd\n"), "{prompt}");
        assert!(
            prompt.contains("ause"),
            "thoughts stand for an answer that is none: {prompt}"
        );
        remom.reasoning = true;
        remom.template = Template::parse(USUAL_WITH_REASONING).unwrap();
        let prompt = remom.prompt("why?", &[said("so")]);
        assert!(prompt.contains("Reasoning:\nbecause"), "{prompt}");
    }

    #[test]
    fn the_longest_answer_stands_for_the_last() {
        let rounds = [vec![said("aaaa"), said("b")], vec![said("cccc"), said("   ")]];
        assert_eq!(Remom::best(&rounds).unwrap().text, "cccc");
        assert_eq!(Remom::best(&[vec![said(" ")]]), None);
    }
}
