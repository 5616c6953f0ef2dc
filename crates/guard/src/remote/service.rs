//! How services are spoken to: what is asked about texts, and what an answer says. Plain functions, without a network.

use std::fmt::Debug;

use http::HeaderName;
use pointsman_upstream::AuthStyle;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::finding::{Finding, Unreadable};
use crate::config::Stage;
use crate::texts::Sort;

/// A text that a service is asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'t> {
    pub(crate) text: &'t str,
    pub(crate) sort: Sort,
    pub(crate) stage: Stage,
}

/// A request, without what lets it in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    /// Behind the URL of the service.
    pub(crate) path: String,
    pub(crate) body: Value,
}

/// A service.
pub(crate) trait Service: Debug + Send + Sync {
    /// Where it is when the configuration does not say.
    fn url(&self) -> Option<String> {
        None
    }

    /// How its key is carried.
    fn style(&self) -> AuthStyle {
        AuthStyle::Bearer
    }

    /// Most texts of one question; those of one question are of the same stage and sort.
    fn most(&self) -> usize {
        1
    }

    /// Most letters of a text in one question; longer ones are asked about in parts that overlap.
    fn longest(&self) -> Option<usize> {
        None
    }

    /// How many questions are asked about the same texts.
    fn questions(&self) -> usize {
        1
    }

    /// Whether it says what would have to be replaced.
    fn redacts(&self) -> bool;

    /// Whether it looks for what comes from outside alone: what users say, documents, results of tools, and answers.
    fn judges_foreign_alone(&self) -> bool {
        false
    }

    /// The question of this number.
    fn ask(&self, number: usize, shown: &[Shown<'_>]) -> Question;

    /// What the answer to it says: one finding for each text.
    fn read(&self, number: usize, shown: &[Shown<'_>], answer: &[u8]) -> Result<Vec<Finding>, Unreadable>;
}

/// An answer that is an object of this form.
pub(crate) fn parsed<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Unreadable> {
    of_form(answer, b'{')
}

/// An answer that is a list of this form.
pub(crate) fn parsed_list<T: DeserializeOwned>(answer: &[u8]) -> Result<Vec<T>, Unreadable> {
    of_form(answer, b'[')
}

fn of_form<T: DeserializeOwned>(answer: &[u8], opening: u8) -> Result<T, Unreadable> {
    // An object may be read from a list of its fields: no service means that. What does not fit is not told: it may hold
    // what was asked about.
    let opens = answer.trim_ascii_start().first() == Some(&opening);
    let parsed = opens.then(|| serde_json::from_slice(answer).ok()).flatten();
    parsed.ok_or(Unreadable("the answer is not of the form that it should be"))
}

/// The only text of a question that has one.
pub(crate) fn only<'t>(shown: &[Shown<'t>]) -> Shown<'t> {
    shown.first().copied().unwrap_or(Shown {
        text: "",
        sort: Sort::Foreign,
        stage: Stage::Input,
    })
}

/// A key alone in a header.
pub(crate) const fn header(name: &'static str) -> AuthStyle {
    AuthStyle::Header(HeaderName::from_static(name))
}
