//! How a provider is spoken to: its formats, each with its paths and with what a cloud puts around it.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pointsman_wire::format::Format;

/// What may stand in a path as it is. Everything else of a model's name is encoded: the colons and slashes of AWS's
/// names, too, just as AWS's own SDKs do it, because the path is what is signed.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@');

/// A chat format as a provider speaks it.
#[derive(Debug, Clone)]
pub struct Speech {
    /// The format.
    pub format: Format,
    /// What is put around it.
    pub envelope: Envelope,
    whole: Template,
    streamed: Template,
    family: Family,
}

/// What a cloud changes of a format that is not its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// Nothing.
    None,
    /// Google Vertex AI's rawPredict: the model stands in the path, the version in the body.
    VertexRaw,
}

/// Whose models a format is for, at clouds that have models of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Any,
    Claude,
    Google,
    OpenAi,
    Others,
}

impl Family {
    fn has(self, model: &str) -> bool {
        let claude = model.starts_with("claude") || model.contains("anthropic.");
        match self {
            Self::Any => true,
            Self::Claude => claude,
            Self::OpenAi => model.contains("openai."),
            Self::Google => !claude && !model.contains('/'),
            Self::Others => !claude && model.contains('/'),
        }
    }
}

/// A path under the base URL, perhaps with a model's name in it.
#[derive(Debug, Clone)]
pub enum Template {
    /// Without.
    Fixed(String),
    /// With the name between these.
    Named {
        /// What stands before it.
        before: String,
        /// What stands behind it.
        after: String,
    },
}

impl Template {
    /// The template of a path with or without `{model}`.
    pub fn new(path: &str) -> Self {
        match path.split_once("{model}") {
            None => Self::Fixed(path.to_owned()),
            Some((before, after)) => Self::Named {
                before: before.to_owned(),
                after: after.to_owned(),
            },
        }
    }

    /// The path for `model`.
    pub fn fill(&self, model: &str) -> Cow<'_, str> {
        match self {
            Self::Fixed(path) => Cow::Borrowed(path),
            Self::Named { before, after } => {
                let model = model.strip_prefix("models/").unwrap_or(model);
                let name: Cow<'_, str> = utf8_percent_encode(model, ENCODED).into();
                Cow::Owned([before, &*name, after].concat())
            }
        }
    }
}

impl Speech {
    /// `format` at `path`, as the catalog has it, for a provider of `kind`.
    pub fn new(kind: &str, format: Format, path: &str) -> Self {
        let family = match (kind, format) {
            ("gcp-vertex", Format::GeminiGenerate) => Family::Google,
            ("gcp-vertex", Format::OpenAiChat) => Family::Others,
            ("aws-bedrock", Format::OpenAiChat) => Family::OpenAi,
            _ => Family::Any,
        };
        Self::enveloped(format, path, (Envelope::None, family))
    }

    /// What a cloud speaks beside its own formats: Anthropic's, for Claude.
    pub fn beside(kind: &str) -> Option<Self> {
        let (format, path, envelope) = match kind {
            "aws-bedrock" => (Format::BedrockInvoke, "/model/{model}/invoke", Envelope::None),
            "gcp-vertex" => (
                Format::AnthropicMessages,
                "/publishers/anthropic/models/{model}:rawPredict",
                Envelope::VertexRaw,
            ),
            _ => return None,
        };
        Some(Self::enveloped(format, path, (envelope, Family::Claude)))
    }

    fn enveloped(format: Format, path: &str, (envelope, family): (Envelope, Family)) -> Self {
        Self {
            format,
            envelope,
            whole: Template::new(path),
            streamed: Template::new(&streaming(path)),
            family,
        }
    }

    /// Whether it is for this model.
    pub fn is_for(&self, model: &str) -> bool {
        self.family.has(model)
    }

    /// The path to ask `model` at.
    pub fn path(&self, model: &str, streamed: bool) -> Cow<'_, str> {
        if streamed {
            self.streamed.fill(model)
        } else {
            self.whole.fill(model)
        }
    }

    /// The path to have tokens counted for `model`, in formats that name the method in the path.
    pub fn counting_path(&self, model: &str) -> Option<String> {
        let path = self.whole.fill(model);
        let counts = [
            (":generateContent", ":countTokens"),
            ("/converse", "/count-tokens"),
        ];
        counts
            .into_iter()
            .find_map(|(answers, counts)| Some([path.strip_suffix(answers)?, counts].concat()))
    }

    /// Whether the body names the model, and says whether to stream.
    pub fn is_named_in_body(&self) -> bool {
        self.envelope == Envelope::None
            && !matches!(
                self.format,
                Format::GeminiGenerate | Format::BedrockConverse | Format::BedrockInvoke
            )
    }
}

/// Whether two formats have the same bodies, but for what stands around them: Anthropic's, plain or in Bedrock's
/// InvokeModel.
pub fn are_kin(one: Format, other: Format) -> bool {
    let claude = |format| matches!(format, Format::AnthropicMessages | Format::BedrockInvoke);
    one == other || (claude(one) && claude(other))
}

/// The path of the streamed answer, where the path says that.
fn streaming(path: &str) -> Cow<'_, str> {
    for (whole, streamed) in [
        (":generateContent", ":streamGenerateContent?alt=sse"),
        (":rawPredict", ":streamRawPredict"),
        ("/converse", "/converse-stream"),
        ("/invoke", "/invoke-with-response-stream"),
    ] {
        if let Some(before) = path.strip_suffix(whole) {
            return Cow::Owned([before, streamed].concat());
        }
    }
    Cow::Borrowed(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_model_and_stream_where_the_format_wants_it() {
        let gemini = Speech::new(
            "gemini",
            Format::GeminiGenerate,
            "/models/{model}:generateContent",
        );
        assert_eq!(
            gemini.path("models/gemini-x", false),
            "/models/gemini-x:generateContent"
        );
        assert_eq!(
            gemini.path("gemini-x", true),
            "/models/gemini-x:streamGenerateContent?alt=sse"
        );
        assert_eq!(
            gemini.counting_path("gemini-x").unwrap(),
            "/models/gemini-x:countTokens"
        );
        let converse = Speech::new("aws-bedrock", Format::BedrockConverse, "/model/{model}/converse");
        assert_eq!(
            converse.counting_path("claude-x").unwrap(),
            "/model/claude-x/count-tokens"
        );
        let openai = Speech::new("openai", Format::OpenAiChat, "/chat/completions");
        assert!(matches!(
            openai.path("a/b", true),
            Cow::Borrowed("/chat/completions")
        ));
        assert!(openai.is_named_in_body() && !gemini.is_named_in_body());
    }

    #[test]
    fn names_are_encoded_as_aws_does_it() {
        let converse = Speech::new("aws-bedrock", Format::BedrockConverse, "/model/{model}/converse");
        assert_eq!(
            converse.path("anthropic.claude-x-v1:0", true),
            "/model/anthropic.claude-x-v1%3A0/converse-stream"
        );
        assert_eq!(
            converse.path("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.x", false),
            "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.x/converse"
        );
    }

    #[test]
    fn a_name_cannot_climb_out_of_its_place_or_add_a_query() {
        let gemini = Speech::new(
            "gemini",
            Format::GeminiGenerate,
            "/models/{model}:generateContent",
        );
        assert_eq!(
            gemini.path("../../files?key=x#y", false),
            "/models/..%2F..%2Ffiles%3Fkey%3Dx%23y:generateContent"
        );
    }

    #[test]
    fn clouds_speak_each_familys_own_format() {
        let claude = Speech::beside("aws-bedrock").unwrap();
        assert!(
            claude.is_for("eu.anthropic.claude-haiku-4-5-20251001-v1:0")
                && !claude.is_for("amazon.nova-lite-v1:0")
        );
        assert_eq!(
            claude.path("a:0", true),
            "/model/a%3A0/invoke-with-response-stream"
        );
        let claude = Speech::beside("gcp-vertex").unwrap();
        assert_eq!(
            claude.path("claude-haiku-4-5@20251001", true),
            "/publishers/anthropic/models/claude-haiku-4-5@20251001:streamRawPredict"
        );
        let google = Speech::new(
            "gcp-vertex",
            Format::GeminiGenerate,
            "/publishers/google/models/{model}:generateContent",
        );
        assert!(google.is_for("gemini-x") && !google.is_for("claude-x") && !google.is_for("meta/llama"));
        let openai = Speech::new("aws-bedrock", Format::OpenAiChat, "/openai/v1/chat/completions");
        assert!(openai.is_for("openai.gpt-oss-120b-1:0") && !openai.is_for("amazon.nova-lite-v1:0"));
        assert!(Speech::beside("openai").is_none());
    }

    /// Others' models tell what they used in pieces where they speak Google's format there, and once, at the end, in
    /// OpenAI's: they are never asked in Google's, whoever the client is.
    #[test]
    fn others_models_on_vertex_are_asked_where_usage_is_told_once() {
        let google = Speech::new("gcp-vertex", Format::GeminiGenerate, "/g/{model}:generateContent");
        let openai = Speech::new(
            "gcp-vertex",
            Format::OpenAiChat,
            "/endpoints/openapi/chat/completions",
        );
        let claude = Speech::beside("gcp-vertex").unwrap();
        for model in [
            "meta/llama-3.1-405b-instruct-maas",
            "mistralai/mistral-medium-3",
            "deepseek-ai/deepseek-v3.2-maas",
            "qwen/qwen3-next-80b-a3b-instruct-maas",
        ] {
            assert!(openai.is_for(model), "{model}");
            assert!(!google.is_for(model) && !claude.is_for(model), "{model}");
        }
    }
}
