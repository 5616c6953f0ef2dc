//! Where a client wants to be told, sealed into the address that the agent tells.
//!
//! Nothing is kept of it here: what the agent holds is the gateway's address with the client's own in it, readable and
//! writable by the gateway alone. Whoever tells it must show the secret that was given to the agent beside.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// Most bytes of a sealed address.
const MAX_SEALED: usize = 8 * 1024;

/// Where and how a client wants to be told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Whose it is.
    pub owner: String,
    /// Where.
    pub url: String,
    /// What the client recognises it by.
    pub token: Option<String>,
    /// The scheme of its credential, and the credential.
    pub scheme: Option<String>,
    /// The credential.
    pub credentials: Option<String>,
    /// Whether the client speaks 0.3.
    pub is_old: bool,
    /// What the agent shows.
    pub secret: String,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Told")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl Told {
    /// Whether `shown` is the agent's secret.
    #[must_use]
    pub fn is_from_agent(&self, shown: &str) -> bool {
        self.secret.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

/// Seals addresses.
pub struct Sealer {
    key: Option<LessSafeKey>,
}

impl Sealer {
    /// A sealer whose addresses are good as long as the secret, or else as long as the process.
    #[must_use]
    pub fn new(secret: Option<&str>) -> Self {
        let bytes = match secret {
            Some(secret) => {
                let named = ["pointsman a2a push\n", secret].concat();
                let digest = ring::digest::digest(&ring::digest::SHA256, named.as_bytes());
                digest.as_ref().to_vec()
            }
            None => random::<32>().map(Vec::from).unwrap_or_default(),
        };
        let key = UnboundKey::new(&AES_256_GCM, &bytes).ok().map(LessSafeKey::new);
        Self { key }
    }

    /// Seals an address for an agent; nothing where there is no chance to be had.
    #[must_use]
    pub fn seal(&self, agent: &str, told: &Told) -> Option<String> {
        let nonce = random::<NONCE_LEN>()?;
        let mut text = serde_json::to_vec(told).ok()?;
        let key = self.key.as_ref()?;
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(agent.as_bytes()),
            &mut text,
        )
        .ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &text].concat()))
    }

    /// Opens what was sealed for this agent.
    #[must_use]
    pub fn open(&self, agent: &str, sealed: &str) -> Option<Told> {
        if sealed.len() > MAX_SEALED {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let key = self.key.as_ref()?;
        let plain = key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(agent.as_bytes()),
                &mut text,
            )
            .ok()?;
        serde_json::from_slice(plain).ok()
    }
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// A new secret.
#[must_use]
pub fn secret() -> Option<String> {
    random::<32>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Told {
        Told {
            owner: "key:1".to_owned(),
            url: "https://client.example.com/hook".to_owned(),
            token: Some("t".to_owned()),
            scheme: None,
            credentials: None,
            is_old: false,
            secret: secret().unwrap(),
        }
    }

    #[test]
    fn what_was_sealed_opens_for_its_agent_alone() {
        let (sealer, told) = (Sealer::new(Some("s")), told());
        let sealed = sealer.seal("planner", &told).unwrap();
        assert!(!sealed.contains("client"));
        assert_eq!(sealer.open("planner", &sealed).unwrap(), told);
        assert_eq!(Sealer::new(Some("s")).open("planner", &sealed).unwrap(), told);
        assert!(sealer.open("painter", &sealed).is_none());
        assert!(Sealer::new(Some("other")).open("planner", &sealed).is_none());
        assert!(Sealer::new(None).open("planner", &sealed).is_none());
        let mut broken = sealed.into_bytes();
        broken[20] = if broken[20] == b'A' { b'B' } else { b'A' };
        assert!(
            sealer
                .open("planner", &String::from_utf8(broken).unwrap())
                .is_none()
        );
        assert!(sealer.open("planner", "").is_none() && sealer.open("planner", "ä").is_none());
    }

    #[test]
    fn only_the_secret_opens() {
        let told = told();
        assert!(told.is_from_agent(&told.secret));
        assert!(!told.is_from_agent("") && !told.is_from_agent(&told.secret[1..]));
    }
}
