//! What SCIM says when something is refused (RFC 7644, section 3.12).

use http::StatusCode;

use crate::call::Failed;

/// Which of the standard's reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScimType {
    /// The filter cannot be read.
    InvalidFilter,
    /// The body is not what it must be.
    InvalidSyntax,
    /// The path leads nowhere.
    InvalidPath,
    /// There is nothing at the path.
    NoTarget,
    /// A value is missing, or not what it must be.
    InvalidValue,
    /// It is not changed by clients.
    Mutability,
    /// Another is called so.
    Uniqueness,
    /// More is asked for than is given.
    TooMany,
}

impl ScimType {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidPath => "invalidPath",
            Self::NoTarget => "noTarget",
            Self::InvalidValue => "invalidValue",
            Self::Mutability => "mutability",
            Self::Uniqueness => "uniqueness",
            Self::TooMany => "tooMany",
        }
    }
}

/// Why something is refused.
pub type Scim = Failed;

/// What is asked for makes no sense.
pub fn wrong(kind: ScimType, message: impl Into<String>) -> Scim {
    let status = match kind {
        ScimType::Uniqueness => StatusCode::CONFLICT,
        _ => StatusCode::BAD_REQUEST,
    };
    Failed::new(status, message).of_kind(kind)
}
