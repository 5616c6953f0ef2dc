//! `usageMetadata`: thoughts are not among the candidates' tokens, results of Google's own tools not in the prompt's.

use super::names;
use crate::form::{Text, Usage};
use crate::format::DecodeError;
use crate::json::fields::Value;
use crate::json::write::{List, Object};

const KNOWN: [&str; 7] = [
    "promptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "cachedContentTokenCount",
    "toolUsePromptTokenCount",
    "promptTokensDetails",
    "candidatesTokensDetails",
];

/// Reads `usageMetadata`. In a stream each says all there is so far.
///
/// # Errors
/// When a count is not a whole number.
pub fn read_usage(value: &Value<'_>) -> Result<Usage, DecodeError> {
    let mut fields = names::fields(value, &KNOWN)?;
    let mut count = |name: &str| Ok(fields.take(name, names::count)?.unwrap_or(0));
    let prompt = count("promptTokenCount")?;
    let candidates = count("candidatesTokenCount")?;
    let reasoning = count("thoughtsTokenCount")?;
    let cache_read = count("cachedContentTokenCount")?;
    let tool_input = count("toolUsePromptTokenCount")?;
    let mut usage = Usage {
        input: prompt.saturating_add(tool_input),
        output: candidates.saturating_add(reasoning),
        cache_read,
        reasoning,
        tool_input,
        ..Usage::default()
    };
    fields.take("promptTokensDetails", |details| {
        details.list(|detail| {
            let (modality, tokens) = read_detail(&detail)?;
            match modality.as_ref() {
                "AUDIO" => usage.audio_input = tokens,
                "IMAGE" => usage.image_input = tokens,
                "VIDEO" => usage.video_input = tokens,
                _ => {}
            }
            Ok(())
        })
    })?;
    fields.take("candidatesTokensDetails", |details| {
        details.list(|detail| {
            let (modality, tokens) = read_detail(&detail)?;
            match modality.as_ref() {
                "AUDIO" => usage.audio_output = tokens,
                "IMAGE" => usage.image_output = tokens,
                _ => {}
            }
            Ok(())
        })
    })?;
    Ok(usage)
}

fn read_detail(value: &Value<'_>) -> Result<(Text, u64), DecodeError> {
    let mut fields = names::fields(value, &["tokenCount"])?;
    let modality = fields.take("modality", names::text)?.unwrap_or_default();
    let tokens = fields.take("tokenCount", names::count)?.unwrap_or(0);
    Ok((modality, tokens))
}

/// Writes `usageMetadata`.
pub fn write_usage(object: &mut Object<'_>, usage: &Usage) {
    let prompt = usage.input.saturating_sub(usage.tool_input);
    let candidates = usage.output.saturating_sub(usage.reasoning);
    object.count("promptTokenCount", prompt);
    object.count("candidatesTokenCount", candidates);
    object.count("totalTokenCount", usage.total());
    for (name, tokens) in [
        ("cachedContentTokenCount", usage.cache_read),
        ("thoughtsTokenCount", usage.reasoning),
        ("toolUsePromptTokenCount", usage.tool_input),
    ] {
        if tokens > 0 {
            object.count(name, tokens);
        }
    }
    let read = [
        ("AUDIO", usage.audio_input),
        ("IMAGE", usage.image_input),
        ("VIDEO", usage.video_input),
    ];
    write_details(object, "promptTokensDetails", prompt, &read);
    let written = [("AUDIO", usage.audio_output), ("IMAGE", usage.image_output)];
    write_details(object, "candidatesTokensDetails", candidates, &written);
}

fn write_details(object: &mut Object<'_>, name: &str, total: u64, media: &[(&str, u64)]) {
    let told: u64 = media.iter().map(|(_, tokens)| tokens).sum();
    if told == 0 {
        return;
    }
    object.list(name, |list| {
        write_detail(list, "TEXT", total.saturating_sub(told));
        for (modality, tokens) in media {
            write_detail(list, modality, *tokens);
        }
    });
}

fn write_detail(list: &mut List<'_>, modality: &str, tokens: u64) {
    if tokens > 0 {
        list.object(|detail| {
            detail.string("modality", modality);
            detail.count("tokenCount", tokens);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::fields::parse;
    use crate::json::write::object;

    #[test]
    fn thoughts_and_tools_are_added_and_taken_apart_again() {
        let told = r#"{"promptTokenCount":100,"candidatesTokenCount":20,"totalTokenCount":157,"cachedContentTokenCount":60,"thoughtsTokenCount":30,"toolUsePromptTokenCount":7,"promptTokensDetails":[{"modality":"TEXT","tokenCount":90},{"modality":"IMAGE","tokenCount":10}]}"#;
        let body = Text::from(told.to_owned());
        let usage = read_usage(&parse(&body).unwrap()).unwrap();
        assert_eq!((usage.input, usage.output, usage.total()), (107, 50, 157));
        assert_eq!(
            (
                usage.cache_read,
                usage.reasoning,
                usage.tool_input,
                usage.image_input
            ),
            (60, 30, 7, 10)
        );
        let written = object(|object| write_usage(object, &usage));
        assert_eq!(String::from_utf8(written).unwrap(), told);
    }
}
