//! Requests of the admin API that are carried out once, however often they come: known by a key of their caller's, answered
//! again as they were.
//!
//! An answer may hold the secret of a new key. It is sealed by what the caller alone has, the key of the request itself, of
//! which the database holds only a digest.

use ring::aead::LessSafeKey;
use sha2::{Digest, Sha256};

use crate::secret::{cipher, decrypt, encrypt};
use crate::store::StoreError;

/// What an answer is bound to.
const BOUND: (&str, &str) = ("answer", "");

/// A request that is carried out once.
pub struct Once {
    pub(crate) id: [u8; 32],
    pub(crate) request: [u8; 32],
    cipher: LessSafeKey,
}

/// How it stands with such a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It has not come before: it is to be carried out.
    New,
    /// It was carried out, and this was the answer.
    Done(Vec<u8>),
    /// It is being carried out.
    Pending,
    /// It was begun, and whether it was carried out is not known.
    Unknown,
    /// The key was used with another request.
    Other,
}

impl Once {
    /// A request of somebody, by the key they give it: what is asked, and its body.
    ///
    /// # Errors
    /// When it cannot be sealed.
    pub fn new(caller: &str, key: &str, (what, body): (&str, &[u8])) -> Result<Self, StoreError> {
        let digest = |parts: &[&[u8]]| -> [u8; 32] {
            let mut digest = Sha256::new();
            for part in parts {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
            digest.finalize().into()
        };
        let (caller, key) = (caller.as_bytes(), key.as_bytes());
        let own = digest(&[b"pointsman answer of a request", caller, key]);
        Ok(Self {
            id: digest(&[b"pointsman id of a request", caller, key]),
            request: digest(&[what.as_bytes(), body]),
            cipher: cipher(&own)?,
        })
    }

    pub(crate) fn seal(&self, answer: &[u8]) -> Result<Vec<u8>, StoreError> {
        encrypt(&self.cipher, BOUND, answer)
    }

    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        decrypt(&self.cipher, BOUND, sealed).map(|answer| answer.to_vec())
    }
}
