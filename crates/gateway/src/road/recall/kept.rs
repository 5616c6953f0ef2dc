//! What may lie under a key: an answer to a conversation, a failure that would only come again, a piece of an errand's
//! answer.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use pointsman_cache::Labels;
use pointsman_catalog::Money;
use pointsman_wire::form::{Encoding, Failure, FailureKind, Usage};
use pointsman_wire::json::Json;

use super::Remembered;

/// What lies under a key.
pub enum Kept {
    /// An answer.
    Answer(Arc<Remembered>),
    /// Why there is none.
    Failure(Failed),
    /// A vector, or a ranking.
    Piece(Box<Piece>),
}

/// A failure that the same request would meet again.
pub struct Failed {
    /// The failure.
    pub failure: Failure,
    /// What it is known by.
    pub labels: Arc<Labels>,
    /// When it came.
    pub stored: Instant,
}

/// What an errand brought.
pub struct Piece {
    /// What.
    pub said: Said,
    /// The provider that gave it.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// What it cost; of several things asked at once, its share.
    pub cost: Money,
    /// What it is known by.
    pub labels: Arc<Labels>,
    /// When it came.
    pub stored: Instant,
}

/// What a piece says.
pub enum Said {
    /// A vector in each of the ways in which it is written, and about how many tokens were read for it.
    Vector(Vec<(Encoding, Json)>, u64),
    /// A whole answer of JSON, and what it used.
    Body(Bytes, Box<Usage>),
}

impl Kept {
    /// What it is known by.
    pub fn labels(&self) -> &Labels {
        match self {
            Self::Answer(answer) => &answer.labels,
            Self::Failure(failed) => &failed.labels,
            Self::Piece(piece) => &piece.labels,
        }
    }

    /// The answer, if it is one.
    pub fn answer(&self) -> Option<&Arc<Remembered>> {
        match self {
            Self::Answer(answer) => Some(answer),
            Self::Failure(_) | Self::Piece(_) => None,
        }
    }

    /// The piece, if it is one.
    pub fn piece(&self) -> Option<&Piece> {
        match self {
            Self::Piece(piece) => Some(piece),
            Self::Answer(_) | Self::Failure(_) => None,
        }
    }
}

impl Said {
    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Vector(ways, _) => ways.iter().map(|(_, json)| json.as_str().len() + 48).sum(),
            Self::Body(body, _) => body.len() + 128,
        }
    }
}

/// Whether the same request would fail in the same way: it is the request that is at fault.
pub fn is_deterministic(failure: &Failure) -> bool {
    matches!(
        failure.kind,
        FailureKind::InvalidRequest | FailureKind::Unprocessable | FailureKind::TooLarge
    )
}
