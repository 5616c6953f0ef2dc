//! What the answer to a request may go by, as guardrails and the detector of hallucinations see it.

use pointsman_guard::{Given, Grounds};
use pointsman_wire::form::ChatRequest;
use pointsman_wire::text;

/// All texts of a request that its answer may go by.
pub fn of(request: &ChatRequest) -> Grounds {
    let mut grounds = Grounds {
        texts: Vec::new(),
        question: text::user_text(request).as_ref().into(),
    };
    text::given_texts(request, |given, text| {
        let given = match given {
            text::Given::ToolResult => Given::ToolResult,
            text::Given::Document => Given::Document,
            text::Given::Instruction => Given::Instruction,
            text::Given::User => Given::User,
        };
        grounds.texts.push((given, text.into()));
    });
    grounds
}
