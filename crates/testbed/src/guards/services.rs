//! What each service takes and answers, by its published description.

use serde_json::{Map, Value, json};

use super::{Asked, GUARD_KEY, Refused};

/// What a field must be.
type Is = fn(&Value) -> bool;

fn texts(value: &Value) -> bool {
    value
        .as_array()
        .is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_string))
}

fn names(value: &Value) -> bool {
    value
        .as_array()
        .is_some_and(|all| all.iter().all(Value::is_string))
}

fn whole_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

/// An object with these fields: those that must be there, and those that may. Anything else is refused.
fn shape(value: &Value, must: &[(&str, Is)], may: &[(&str, Is)]) -> Result<Map<String, Value>, Refused> {
    let bad = |why: String| {
        (
            400,
            json!({ "error": { "code": "InvalidRequest", "message": why } }),
        )
    };
    let fields = value.as_object().ok_or_else(|| bad("no object".to_owned()))?;
    for (name, is) in must {
        match fields.get(*name) {
            Some(value) if is(value) => {}
            _ => return Err(bad(format!("{name} is missing, or is something else"))),
        }
    }
    for (name, value) in fields {
        let is = must.iter().chain(may).find(|(known, _)| known == name);
        if !is.is_some_and(|(_, is)| is(value)) {
            return Err(bad(format!("{name} is not known, or is something else")));
        }
    }
    Ok(fields.clone())
}

fn bearer(asked: &Asked<'_>) -> Result<(), Refused> {
    header(asked, "authorization", &format!("Bearer {GUARD_KEY}"))
}

fn header(asked: &Asked<'_>, name: &str, value: &str) -> Result<(), Refused> {
    let given = asked.headers.get(name).and_then(|given| given.to_str().ok());
    match given == Some(value) {
        true => Ok(()),
        false => Err((401, json!({ "error": "who are you?" }))),
    }
}

/// Addresses in a text, in letters.
fn addresses(text: &str) -> Vec<(usize, usize, String)> {
    let letters: Vec<char> = text.chars().collect();
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
    let end_of = "@example.com";
    let mut found = Vec::new();
    for at in 0..letters.len() {
        let rest: String = letters[at..].iter().take(end_of.len()).collect();
        if rest != end_of {
            continue;
        }
        let before = letters[..at]
            .iter()
            .rev()
            .take_while(|letter| is_name(**letter))
            .count();
        if before > 0 {
            let (start, end) = (at - before, at + end_of.len());
            found.push((start, end, letters[start..end].iter().collect()));
        }
    }
    found
}

fn is_attack(text: &str) -> bool {
    text.contains("ATTACK")
}

/// A text with what stands for its addresses.
fn masked(text: &str, with: &str) -> String {
    let mut masked = text.to_owned();
    for (_, _, value) in addresses(text) {
        masked = masked.replace(&value, with);
    }
    masked
}

/// The answer to a question.
pub(super) fn judge(asked: &Asked<'_>) -> Result<Value, Refused> {
    match asked.path {
        "/analyze" => presidio(asked),
        "/judge" => own(asked),
        "/beta/litellm_basic_guardrail_api" => litellm(asked),
        "/v1/moderations" => moderations(asked),
        "/contentsafety/text:analyze" => azure_harm(asked),
        "/contentsafety/text:shieldPrompt" => azure_shields(asked),
        "/v2/guard" => lakera(asked),
        "/analyze/prompt" | "/analyze/output" => llm_guard(asked),
        "/v1/checks" => nemo(asked),
        path if path.starts_with("/guardrail/") => bedrock(asked),
        path if path.starts_with("/v1/projects/") => model_armor(asked),
        _ => Err((404, json!({ "error": "Not Found" }))),
    }
}

fn presidio(asked: &Asked<'_>) -> Result<Value, Refused> {
    let may: [(&str, Is); 7] = [
        ("score_threshold", Value::is_number),
        ("entities", texts),
        ("correlation_id", Value::is_string),
        ("return_decision_process", Value::is_boolean),
        ("ad_hoc_recognizers", Value::is_array),
        ("context", names),
        ("allow_list", names),
    ];
    let body = shape(
        asked.body,
        &[("text", whole_text), ("language", whole_text)],
        &may,
    )?;
    let wanted = |kind: &str| {
        let entities = body.get("entities").and_then(Value::as_array);
        entities.is_none_or(|all| all.iter().any(|one| one == kind))
    };
    if !wanted("EMAIL_ADDRESS") {
        return Ok(json!([]));
    }
    let found = addresses(body["text"].as_str().unwrap_or_default()).into_iter();
    let all: Vec<Value> = found
        .map(|(start, end, _)| {
            json!({ "entity_type": "EMAIL_ADDRESS", "start": start, "end": end, "score": 1.0, "analysis_explanation": null })
        })
        .collect();
    Ok(all.into())
}

fn own(asked: &Asked<'_>) -> Result<Value, Refused> {
    bearer(asked)?;
    let must: [(&str, Is); 3] = [("stage", whole_text), ("source", whole_text), ("texts", texts)];
    let body = shape(asked.body, &must, &[])?;
    let each = body["texts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let findings: Vec<Value> = each
        .map(|text| {
            let spans: Vec<Value> = addresses(text)
                .into_iter()
                .map(|(start, end, _)| json!({ "start": start, "end": end, "kind": "EMAIL_ADDRESS" }))
                .collect();
            match is_attack(text) {
                true => json!({ "block": true, "reason": "attack" }),
                false => json!({ "spans": spans }),
            }
        })
        .collect();
    Ok(json!({ "findings": findings }))
}

fn litellm(asked: &Asked<'_>) -> Result<Value, Refused> {
    header(asked, "x-api-key", GUARD_KEY)?;
    let is_direction: Is = |value| value == "request" || value == "response";
    let must: [(&str, Is); 3] = [
        ("texts", texts),
        ("input_type", is_direction),
        ("request_data", Value::is_object),
    ];
    let may: [(&str, Is); 6] = [
        ("additional_provider_specific_params", Value::is_object),
        ("litellm_call_id", |_| true),
        ("litellm_trace_id", |_| true),
        ("images", |_| true),
        ("tools", |_| true),
        ("structured_messages", |_| true),
    ];
    let body = shape(asked.body, &must, &may)?;
    let all: Vec<&str> = body["texts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if all.iter().any(|text| is_attack(text)) {
        return Ok(json!({ "action": "BLOCKED", "blocked_reason": "attack" }));
    }
    if all.iter().all(|text| addresses(text).is_empty()) {
        return Ok(json!({ "action": "NONE" }));
    }
    let masked: Vec<String> = all.iter().map(|text| masked(text, "[EMAIL]")).collect();
    Ok(json!({ "action": "GUARDRAIL_INTERVENED", "texts": masked }))
}

fn moderations(asked: &Asked<'_>) -> Result<Value, Refused> {
    bearer(asked)?;
    let body = shape(asked.body, &[("input", texts)], &[("model", whole_text)])?;
    let each = body["input"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let results: Vec<Value> = each
        .map(|text| {
            let flagged = is_attack(text);
            json!({
                "flagged": flagged,
                "categories": { "violence": flagged, "hate": false, "illicit": null },
                "category_scores": { "violence": if flagged { 0.97 } else { 0.001 }, "hate": 0.0004, "illicit": 0.0 },
                "category_applied_input_types": { "violence": ["text"], "hate": ["text"], "illicit": [] },
            })
        })
        .collect();
    Ok(json!({ "id": "modr-1", "model": body.get("model"), "results": results }))
}

fn azure(asked: &Asked<'_>) -> Result<(), Refused> {
    header(asked, "ocp-apim-subscription-key", GUARD_KEY)?;
    match asked.query {
        "api-version=2024-09-01" => Ok(()),
        _ => Err((
            404,
            json!({ "error": { "code": "404", "message": "Resource not found" } }),
        )),
    }
}

/// More letters are refused.
fn short(text: &Value) -> bool {
    text.as_str().is_some_and(|text| text.chars().count() <= 10_000)
}

fn azure_harm(asked: &Asked<'_>) -> Result<Value, Refused> {
    azure(asked)?;
    let may: [(&str, Is); 4] = [
        ("categories", texts),
        ("blocklistNames", names),
        ("haltOnBlocklistHit", Value::is_boolean),
        ("outputType", |value| {
            value == "FourSeverityLevels" || value == "EightSeverityLevels"
        }),
    ];
    let body = shape(asked.body, &[("text", short)], &may)?;
    let severity = if is_attack(body["text"].as_str().unwrap_or_default()) {
        6
    } else {
        0
    };
    Ok(json!({ "blocklistsMatch": [], "categoriesAnalysis": [
        { "category": "Hate", "severity": 0 }, { "category": "Violence", "severity": severity },
    ] }))
}

fn azure_shields(asked: &Asked<'_>) -> Result<Value, Refused> {
    azure(asked)?;
    let are_documents: Is = |value| {
        value
            .as_array()
            .is_some_and(|all| all.len() <= 5 && all.iter().all(short))
    };
    let body = shape(
        asked.body,
        &[("userPrompt", short)],
        &[("documents", are_documents)],
    )?;
    let attack = |value: &Value| json!({ "attackDetected": is_attack(value.as_str().unwrap_or_default()) });
    let documents: Vec<Value> = body
        .get("documents")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(attack)
        .collect();
    Ok(json!({ "userPromptAnalysis": attack(&body["userPrompt"]), "documentsAnalysis": documents }))
}

fn bedrock(asked: &Asked<'_>) -> Result<Value, Refused> {
    let given = asked
        .headers
        .get("authorization")
        .and_then(|given| given.to_str().ok());
    let signed = given.is_some_and(|given| {
        given.starts_with("AWS4-HMAC-SHA256 Credential=AKIASIM/")
            && given.contains("/eu-west-1/bedrock/aws4_request")
            && given.contains("host;")
            && given.contains("x-amz-date")
            && given
                .split("Signature=")
                .nth(1)
                .is_some_and(|signature| signature.len() == 64)
    });
    if !signed || asked.path != "/guardrail/gr-1/version/DRAFT/apply" {
        return Err((
            403,
            json!({ "message": "The security token included in the request is invalid." }),
        ));
    }
    let is_source: Is = |value| value == "INPUT" || value == "OUTPUT";
    let is_scope: Is = |value| value == "INTERVENTIONS" || value == "FULL";
    let must: [(&str, Is); 2] = [("source", is_source), ("content", Value::is_array)];
    let body = shape(asked.body, &must, &[("outputScope", is_scope)])?;
    let [block] = body["content"].as_array().map(Vec::as_slice).unwrap_or_default() else {
        return Err((400, json!({ "message": "one block is simulated" })));
    };
    let block = shape(block, &[("text", Value::is_object)], &[])?;
    let inner = shape(&block["text"], &[("text", whole_text)], &[("qualifiers", names)])?;
    let text = inner["text"].as_str().unwrap_or_default();
    let (mut action, mut outputs, mut assessment) = ("NONE", Vec::new(), json!({}));
    if is_attack(text) {
        (action, outputs) = ("GUARDRAIL_INTERVENED", vec![json!({ "text": "Sorry." })]);
        let filter = json!({ "type": "PROMPT_ATTACK", "confidence": "HIGH", "filterStrength": "HIGH", "action": "BLOCKED", "detected": true });
        assessment = json!({ "contentPolicy": { "filters": [filter] } });
    } else if !addresses(text).is_empty() {
        (action, outputs) = (
            "GUARDRAIL_INTERVENED",
            vec![json!({ "text": masked(text, "{EMAIL}") })],
        );
        let entities: Vec<Value> = addresses(text)
            .into_iter()
            .map(|(_, _, value)| json!({ "match": value, "type": "EMAIL", "action": "ANONYMIZED", "detected": true }))
            .collect();
        assessment = json!({ "sensitiveInformationPolicy": { "piiEntities": entities, "regexes": [] } });
    }
    Ok(
        json!({ "usage": { "contentPolicyUnits": 1 }, "action": action, "outputs": outputs, "assessments": [assessment] }),
    )
}

fn model_armor(asked: &Asked<'_>) -> Result<Value, Refused> {
    bearer(asked)?;
    let verb = asked
        .path
        .strip_prefix("/v1/projects/p/locations/europe-west4/templates/t:");
    let field = match verb {
        Some("sanitizeUserPrompt") => "userPromptData",
        Some("sanitizeModelResponse") => "modelResponseData",
        _ => return Err((404, json!({ "error": { "code": 404, "status": "NOT_FOUND" } }))),
    };
    let body = shape(asked.body, &[(field, Value::is_object)], &[])?;
    let data = shape(&body[field], &[("text", whole_text)], &[])?;
    let text = data["text"].as_str().unwrap_or_default();
    let state = |found: bool| if found { "MATCH_FOUND" } else { "NO_MATCH_FOUND" };
    let found: Vec<Value> = addresses(text)
        .into_iter()
        .map(|(start, end, _)| {
            let range = json!({ "start": start.to_string(), "end": end.to_string() });
            json!({ "infoType": "EMAIL_ADDRESS", "likelihood": "VERY_LIKELY", "location": { "codepointRange": range } })
        })
        .collect();
    let matched = is_attack(text) || !found.is_empty();
    Ok(json!({ "sanitizationResult": {
        "filterMatchState": state(matched),
        "invocationResult": "SUCCESS",
        "filterResults": {
            "sdp": { "sdpFilterResult": { "inspectResult": {
                "executionState": "EXECUTION_SUCCESS", "matchState": state(!found.is_empty()), "findings": found,
            } } },
            "pi_and_jailbreak": { "piAndJailbreakFilterResult": {
                "executionState": "EXECUTION_SUCCESS", "matchState": state(is_attack(text)),
            } },
        },
    } }))
}

fn lakera(asked: &Asked<'_>) -> Result<Value, Refused> {
    bearer(asked)?;
    let may: [(&str, Is); 5] = [
        ("project_id", whole_text),
        ("payload", Value::is_boolean),
        ("breakdown", Value::is_boolean),
        ("metadata", Value::is_object),
        ("dev_info", Value::is_boolean),
    ];
    let body = shape(asked.body, &[("messages", Value::is_array)], &may)?;
    let [message] = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default() else {
        return Err((400, json!({ "message": "one message is simulated" })));
    };
    let is_role: Is = |value| ["system", "user", "assistant"].iter().any(|role| value == role);
    let message = shape(message, &[("role", is_role), ("content", whole_text)], &[])?;
    let text = message["content"].as_str().unwrap_or_default();
    let payload: Vec<Value> = addresses(text)
        .into_iter()
        .map(|(start, end, value)| {
            json!({ "start": start, "end": end, "text": value, "detector_type": "pii/email", "labels": [], "message_id": 0 })
        })
        .collect();
    let detector =
        |kind: &str, detected: bool| json!({ "detector_type": kind, "detected": detected, "message_id": 0 });
    Ok(json!({
        "flagged": is_attack(text) || !payload.is_empty(),
        "breakdown": [detector("prompt_attack", is_attack(text)), detector("pii/email", !payload.is_empty())],
        "payload": payload,
        "metadata": { "request_uuid": "00000000-0000-0000-0000-000000000000" },
    }))
}

fn llm_guard(asked: &Asked<'_>) -> Result<Value, Refused> {
    bearer(asked)?;
    let is_output = asked.path == "/analyze/output";
    let may: [(&str, Is); 1] = [("scanners_suppress", names)];
    let (field, sanitized) = match is_output {
        true => {
            shape(
                asked.body,
                &[("prompt", Value::is_string), ("output", Value::is_string)],
                &may,
            )?;
            ("output", "sanitized_output")
        }
        false => {
            shape(asked.body, &[("prompt", Value::is_string)], &may)?;
            ("prompt", "sanitized_prompt")
        }
    };
    let text = asked.body[field].as_str().unwrap_or_default();
    let personal = !addresses(text).is_empty();
    let scanners = json!({ "Anonymize": if personal { 1.0 } else { -1.0 }, "PromptInjection": if is_attack(text) { 1.0 } else { 0.0 } });
    let mut answer = json!({ "is_valid": !personal && !is_attack(text), "scanners": scanners });
    answer[sanitized] = masked(text, "[REDACTED_EMAIL_ADDRESS_1]").into();
    Ok(answer)
}

fn nemo(asked: &Asked<'_>) -> Result<Value, Refused> {
    bearer(asked)?;
    let must: [(&str, Is); 3] = [
        ("model", whole_text),
        ("messages", Value::is_array),
        ("guardrails", Value::is_object),
    ];
    let body = shape(asked.body, &must, &[])?;
    shape(
        &body["guardrails"],
        &[],
        &[("config_id", whole_text), ("rail_types", texts)],
    )?;
    let [message] = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default() else {
        return Err((422, json!({ "detail": "one message is simulated" })));
    };
    let is_role: Is = |value| value == "user" || value == "assistant";
    let message = shape(message, &[("role", is_role), ("content", Value::is_string)], &[])?;
    let text = message["content"].as_str().unwrap_or_default();
    Ok(if is_attack(text) {
        json!({ "status": "blocked", "content": "I cannot help with that.", "rail": "self check input" })
    } else if addresses(text).is_empty() {
        json!({ "status": "passed", "content": text, "rail": null })
    } else {
        json!({ "status": "modified", "content": masked(text, "<EMAIL>"), "rail": null })
    })
}
