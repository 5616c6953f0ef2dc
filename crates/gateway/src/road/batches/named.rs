//! What was named by headers when a batch was made: kept with what its owner notes, and named by each of its lines.

use pointsman_governance::{Labels, is_label};
use pointsman_store::Batch;
use serde_json::{Map, Value, json};

/// Where it is among the notes.
const NAMED: &str = "pointsman_named";

/// Notes, with what was named; none where there is neither. What clients note under our own name is not theirs to say.
pub fn noted(notes: Option<Map<String, Value>>, labels: &Labels) -> Option<String> {
    if notes.is_none() && labels.is_empty() {
        return None;
    }
    let mut notes = notes.unwrap_or_default();
    notes.shift_remove(NAMED);
    if !labels.is_empty() {
        let named = json!({ "customer": labels.customer, "agent": labels.agent, "tags": &*labels.tags });
        notes.insert(NAMED.to_owned(), named);
    }
    Some(Value::Object(notes).to_string())
}

/// The notes of a batch as its owner wrote them, if they did, and what was named.
pub fn read(batch: &Batch) -> (Option<Map<String, Value>>, Labels) {
    let written = batch.asked.metadata.as_deref();
    let Some(mut notes) = written.and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok())
    else {
        return (None, Labels::default());
    };
    let Some(named) = notes.shift_remove(NAMED) else {
        return (Some(notes), Labels::default());
    };
    let label = |value: &Value| value.as_str().filter(|name| is_label(name)).map(Into::into);
    let tags = named["tags"].as_array().into_iter().flatten();
    let labels = Labels {
        customer: label(&named["customer"]),
        agent: label(&named["agent"]),
        tags: tags.filter_map(label).collect(),
    };
    // Nobody can tell any more whether there were none, or an empty object.
    (Some(notes).filter(|notes| !notes.is_empty()), labels)
}

#[cfg(test)]
mod tests {
    use pointsman_store::BatchApi;

    use super::*;
    use crate::batch::sample;

    fn batch(metadata: Option<String>) -> Batch {
        sample::batch(BatchApi::OpenAi, metadata)
    }

    #[test]
    fn what_is_named_is_kept_beside_the_notes_and_is_nobody_elses_to_say() {
        let labels = Labels {
            customer: Some("alice".into()),
            agent: None,
            tags: ["blue".into(), "green".into()].into(),
        };
        let notes = |value: Value| value.as_object().cloned();
        for own in [None, notes(json!({"a": "b"}))] {
            let kept = batch(noted(own.clone(), &labels));
            assert_eq!(read(&kept), (own, labels.clone()));
        }
        assert_eq!(noted(None, &Labels::default()), None);
        let forged = notes(json!({"a": "b", NAMED: {"customer": "bob"}}));
        let kept = batch(noted(forged, &Labels::default()));
        assert_eq!(read(&kept), (notes(json!({"a": "b"})), Labels::default()));
    }
}
