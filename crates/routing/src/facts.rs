//! What a router may judge by.

use std::sync::Arc;

use crate::learning::Learner;
use crate::selection::{KnownModels, Previous};
use crate::signal::About;

/// A request, as far as signals look at it. Everything is borrowed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// What the user said last.
    pub user_text: &'a str,
    /// The conversation.
    pub messages: &'a [MessageFacts<'a>],
    /// About how many tokens the prompt has.
    pub estimated_tokens: u64,
    /// About how many tokens the answer will have.
    pub completion_tokens: u64,
    /// How many tools are defined.
    pub tools_defined: usize,
    /// Caller-supplied metadata (untrusted).
    pub metadata: &'a [(String, String)],
    /// Who asks.
    pub caller: CallerFacts<'a>,
    /// What is known of models beyond the routing configuration.
    pub models: Option<&'a dyn KnownModels>,
    /// What texts mean, where a selection [goes by it](crate::Deciding::meaning).
    pub meaning: Option<&'a dyn Meaning>,
    /// Images and sound that the user gives, where anything looks at them.
    pub media: Option<&'a dyn Media>,
    /// What was learned of models.
    pub learned: Option<&'a Learner>,
    /// What a helper said that was [asked](crate::Deciding::helper) to pick.
    pub helper: Option<&'a str>,
    /// The last turn of the session, where the request belongs to one.
    pub previous: Option<Previous<'a>>,
}

/// Images and sound of a request.
pub trait Media: std::fmt::Debug {
    /// Those of what the user said last, each as an address: `data:` with what it holds, or where it lies.
    fn shown(&self, about: About) -> Vec<Arc<str>>;
}

/// What texts mean.
pub trait Meaning: std::fmt::Debug {
    /// The vector, of length 1, of what the user said or of a model's description; none where nobody has read it.
    fn vector(&self, text: &str) -> Option<&[f32]>;

    /// Domains of what the user said, each with its probability; none where nobody has asked.
    fn domains(&self) -> Option<&[(String, f32)]> {
        None
    }
}

/// A message of the conversation.
#[derive(Debug, Clone, Copy, Default)]
pub struct MessageFacts<'a> {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: &'a str,
    /// Its texts.
    pub text: &'a str,
    /// Whether it holds an image.
    pub has_image: bool,
    /// Whether it holds sound.
    pub has_audio: bool,
    /// Whether it holds a film.
    pub has_video: bool,
    /// How many tools the assistant calls in it.
    pub tool_calls: usize,
    /// Whether it brings results of tools.
    pub is_tool_result: bool,
}

/// Who asks, as identity has established it (never as headers claim).
#[derive(Debug, Clone, Copy, Default)]
pub struct CallerFacts<'a> {
    /// The user.
    pub user: Option<&'a str>,
    /// The team.
    pub team: Option<&'a str>,
    /// Groups.
    pub groups: &'a [String],
    /// Roles.
    pub roles: &'a [String],
}
