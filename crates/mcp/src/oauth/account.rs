//! What the gateway was granted at one server, on behalf of one user or of itself: put on requests, renewed, asked for
//! again when it is refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use pointsman_upstream::config::Secret;
use pointsman_upstream::{Client, TokenRequest, request_token};
use serde_json::{Map, Value};

use super::discover::{Challenge, Discovered, discover};
use super::register::{Registered, known};
use super::taken::GRANTS;
use super::{Grant, GrantKind, Needed, OAuthConfig, Vault, now, union};
use crate::link::Failed;

/// A token is renewed so long before its end.
const LEAD_SECS: u64 = 30;
/// How often it is looked whether another replica has been granted something.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How often it is looked whether another replica has taken back what is held.
const KEPT_LOOKS: Duration = Duration::from_secs(10);
/// A token that was got so shortly before it is refused is not renewed once more.
const JUST_NOW: Duration = Duration::from_secs(10);
/// How long a lifetime is that nobody says.
const UNTOLD_SECS: u64 = 60 * 60;
/// Longest token that is used.
const MAX_TOKEN: usize = 16 * 1024;

/// What was granted at one server, on behalf of one owner.
pub struct Account {
    /// The server's name.
    pub(super) server: String,
    /// Where it is.
    pub(super) url: String,
    pub(super) config: OAuthConfig,
    /// Whose it is.
    pub(super) owner: String,
    pub(super) vault: Arc<Vault>,
    held: Mutex<Held>,
    /// One asks, the others wait.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    grant: Option<Arc<Grant>>,
    /// When it was got or renewed here.
    got: Option<Instant>,
    /// When the vault was looked into.
    looked: Option<Instant>,
    /// When it was last seen to be kept; none where it is not kept.
    kept: Option<Instant>,
}

/// With what a request was let out.
pub struct Used(Option<Arc<Grant>>);

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Account {
    /// The account of an owner at a server.
    #[must_use]
    pub fn new(server: &str, url: &str, config: &OAuthConfig, owner: &str, vault: &Arc<Vault>) -> Self {
        Self {
            server: server.to_owned(),
            url: url.to_owned(),
            config: config.clone(),
            owner: owner.to_owned(),
            vault: Arc::clone(vault),
            held: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Under which name the grant is kept.
    pub(super) fn name(&self) -> String {
        format!("{GRANTS}{}/{}", self.server, self.owner)
    }

    /// Whoever holds it is the only one who renews the grant, asks for it, or takes it back.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// What is held is not used any more.
    pub(super) fn let_go(&self) {
        *self.held.lock() = Held::default();
    }

    pub(super) fn held(&self) -> Option<Arc<Grant>> {
        self.held.lock().grant.clone()
    }

    /// Puts the token on a request, if there is one; one that is about to end is renewed before.
    pub async fn authorize(&self, client: &Client, headers: &mut HeaderMap) -> Used {
        let grant = match self.current(client).await {
            Some(grant) => grant,
            None => return Used(None),
        };
        let Ok(mut value) = HeaderValue::try_from(format!("Bearer {}", grant.access_token.expose())) else {
            return Used(None);
        };
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
        Used(Some(grant))
    }

    async fn current(&self, client: &Client) -> Option<Arc<Grant>> {
        if self.is_taken_back().await {
            self.let_go();
        }
        let grant = match self.held() {
            Some(grant) => grant,
            None => self.look().await?,
        };
        if grant.expires_at.is_none_or(|end| now() + LEAD_SECS < end) {
            return Some(grant);
        }
        let _turn = self.turn.lock().await;
        let latest = self.held()?;
        if !Arc::ptr_eq(&latest, &grant) {
            return Some(latest);
        }
        match self.renewed(client, &grant).await {
            Some(renewed) => Some(renewed),
            // Its server says whether it is still good.
            None => Some(grant),
        }
    }

    /// Whether another replica has taken back what is held here; looked for now and then.
    async fn is_taken_back(&self) -> bool {
        {
            let mut held = self.held.lock();
            let Some(kept) = held.kept.filter(|_| held.grant.is_some()) else {
                return false;
            };
            if kept.elapsed() < KEPT_LOOKS {
                return false;
            }
            held.kept = Some(Instant::now());
        }
        self.vault.is_gone(&self.name()).await
    }

    /// Looks whether something was granted elsewhere, or before.
    async fn look(&self) -> Option<Arc<Grant>> {
        {
            let mut held = self.held.lock();
            if held.looked.is_some_and(|looked| looked.elapsed() < LOOK_AGAIN) {
                return None;
            }
            held.looked = Some(Instant::now());
        }
        let grant = self.vault.load::<Grant>(&self.name()).await?;
        let grant = Arc::new(grant);
        let mut held = self.held.lock();
        held.grant = Some(Arc::clone(&grant));
        held.kept = Some(Instant::now());
        Some(grant)
    }

    /// Takes a grant over that was got.
    pub(super) async fn keep(&self, grant: Grant) -> Arc<Grant> {
        let is_kept = self.vault.save(&self.name(), &grant).await;
        let grant = Arc::new(grant);
        let mut held = self.held.lock();
        held.kept = is_kept.then(Instant::now);
        held.grant = Some(Arc::clone(&grant));
        held.got = Some(Instant::now());
        grant
    }

    /// A server has refused a request. Whether it is worth asking again.
    ///
    /// # Errors
    /// When somebody has to consent first, or nothing would help.
    pub async fn refused(
        &self,
        client: &Client,
        used: Used,
        (status, headers): (StatusCode, &HeaderMap),
    ) -> Result<bool, Failed> {
        let challenge = Challenge::read(headers);
        let lacks_scope = status == StatusCode::FORBIDDEN;
        if lacks_scope && challenge.error.as_deref() != Some("insufficient_scope") {
            return Ok(false);
        }
        let _turn = self.turn.lock().await;
        let latest = match self.held() {
            Some(grant) => Some(grant),
            None => self.look().await,
        };
        let is_same = match (&latest, &used.0) {
            (Some(latest), Some(used)) => latest.access_token == used.access_token,
            (None, None) => true,
            _ => false,
        };
        if !is_same && latest.is_some() {
            return Ok(true);
        }
        if lacks_scope {
            let asked = latest
                .as_ref()
                .map(|grant| grant.asked.as_slice())
                .unwrap_or_default();
            if challenge.scopes.iter().all(|scope| asked.contains(scope)) {
                let scopes = challenge.scopes.join(" ");
                return Err(Failed::Broken(format!(
                    "the server wants scopes that it was asked for already ({scopes}), and were not granted"
                )));
            }
        } else if let Some(grant) = &latest {
            let was_just_got = self.held.lock().got.is_some_and(|got| got.elapsed() < JUST_NOW);
            if !was_just_got && self.renewed(client, grant).await.is_some() {
                return Ok(true);
            }
            self.drop_grant(grant).await;
        }
        self.ask_again(client, challenge, latest.as_deref()).await
    }

    /// What was granted is of no use any more.
    async fn drop_grant(&self, grant: &Arc<Grant>) {
        {
            let mut held = self.held.lock();
            if held.grant.as_ref().is_some_and(|other| Arc::ptr_eq(other, grant)) {
                held.grant = None;
            }
        }
        self.vault.remove(&self.name()).await;
    }

    async fn ask_again(
        &self,
        client: &Client,
        challenge: Challenge,
        before: Option<&Grant>,
    ) -> Result<bool, Failed> {
        let asked = before.map(|grant| grant.asked.as_slice()).unwrap_or_default();
        let scopes = union(asked, &challenge.scopes);
        if self.config.is_personal() {
            return Err(Failed::Consent(Box::new(Needed {
                server: self.server.clone(),
                owner: self.owner.clone(),
                scopes,
                metadata: challenge.metadata,
            })));
        }
        let grant = self.issued(client, challenge.metadata.as_deref(), scopes).await;
        let grant =
            grant.map_err(|why| Failed::Unreachable(format!("there is no token for the server: {why}")))?;
        // The configuration has what it takes: nothing is kept but in memory.
        let mut held = self.held.lock();
        held.grant = Some(Arc::new(grant));
        held.got = Some(Instant::now());
        Ok(true)
    }

    /// A token for the gateway itself.
    async fn issued(
        &self,
        client: &Client,
        metadata: Option<&str>,
        scopes: Vec<String>,
    ) -> Result<Grant, String> {
        let found = discover(client, (&self.url, metadata), &self.config).await?;
        self.is_trusted(&found).await?;
        let asked = self.scopes(scopes, &found);
        let registered = known(&self.config, &found.server);
        let endpoint = token_endpoint(&found)?;
        let assertion = self.assertion().await?;
        let scope = asked.join(" ");
        let mut fields = vec![("resource", found.resource.as_str())];
        if !asked.is_empty() {
            fields.push(("scope", &scope));
        }
        let mut secrets = Vec::new();
        match &assertion {
            None => fields.push(("grant_type", "client_credentials")),
            Some(assertion) => {
                fields.push(("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"));
                secrets.push(("assertion", assertion.expose()));
            }
        }
        let request = TokenRequest {
            url: endpoint,
            client_id: self.config.client_id.as_deref(),
            proof: registered.proof(&self.config, &found.server.issuer),
            fields,
            secrets,
        };
        let who = format!("the authorization server {}", found.server.issuer);
        let answer = request_token(client, &who, &request).await;
        let answer = answer.map_err(|error| error.to_string())?;
        self.granted(&answer, &found, registered, asked)
    }

    async fn assertion(&self) -> Result<Option<Secret>, String> {
        if self.config.grant != GrantKind::JwtBearer {
            return Ok(None);
        }
        if let Some(assertion) = &self.config.assertion {
            return Ok(Some(assertion.clone()));
        }
        let Some(file) = &self.config.assertion_file else {
            return Ok(None);
        };
        let text = tokio::fs::read_to_string(file).await;
        let text = text.map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
        Ok(Some(Secret::from(text.trim())))
    }

    /// Secrets of the configuration are for one authorization server: the one it names, or the first that the server
    /// does.
    pub(super) async fn is_trusted(&self, found: &Discovered) -> Result<(), String> {
        if self.config.issuer.is_some() || !self.config.has_secret() {
            return Ok(());
        }
        let name = format!("mcp_issuer/{}/{}", self.server, self.url);
        let issuer = &found.server.issuer;
        match self.vault.load::<String>(&name).await {
            None => drop(self.vault.save(&name, issuer).await),
            Some(first) if first == *issuer => {}
            Some(first) => {
                return Err(format!(
                    "the server names {issuer} now, and {first} before: what is for one is not told to the other; set `oauth.issuer`"
                ));
            }
        }
        Ok(())
    }

    /// What is asked for: what the server wants, else what the operator says, else all that the server knows.
    pub(super) fn scopes(&self, wanted: Vec<String>, found: &Discovered) -> Vec<String> {
        if !wanted.is_empty() {
            return union(&wanted, &self.config.scopes);
        }
        if !self.config.scopes.is_empty() {
            return self.config.scopes.clone();
        }
        found.scopes.clone().unwrap_or_default()
    }

    /// What a token endpoint has said, as a grant.
    pub(super) fn granted(
        &self,
        answer: &Map<String, Value>,
        found: &Discovered,
        client: Registered,
        asked: Vec<String>,
    ) -> Result<Grant, String> {
        let token = Token::read(answer)?;
        Ok(Grant {
            issuer: found.server.issuer.clone(),
            token_endpoint: token_endpoint(found)?.to_owned(),
            client,
            resource: found.resource.clone(),
            asked,
            access_token: token.access,
            refresh_token: token.refresh,
            expires_at: token.expires_at,
        })
    }

    /// The same grant with a new token; none where it cannot be renewed.
    async fn renewed(&self, client: &Client, grant: &Arc<Grant>) -> Option<Arc<Grant>> {
        if !self.config.is_personal() {
            let scopes = grant.asked.clone();
            let renewed = self.issued(client, None, scopes).await;
            let renewed = renewed
                .inspect_err(|error| {
                    tracing::warn!(server = self.server, error, "a token could not be renewed");
                })
                .ok()?;
            let renewed = Arc::new(renewed);
            let mut held = self.held.lock();
            held.grant = Some(Arc::clone(&renewed));
            held.got = Some(Instant::now());
            return Some(renewed);
        }
        // Another replica may have been faster; what it used up is of no use here.
        if let Some(kept) = self.vault.load::<Grant>(&self.name()).await
            && kept.access_token != grant.access_token
        {
            let kept = Arc::new(kept);
            self.held.lock().grant = Some(Arc::clone(&kept));
            return Some(kept);
        }
        let refresh = grant.refresh_token.as_ref()?;
        let request = TokenRequest {
            url: &grant.token_endpoint,
            client_id: Some(&grant.client.id),
            proof: grant.client.proof(&self.config, &grant.issuer),
            fields: vec![("grant_type", "refresh_token"), ("resource", &grant.resource)],
            secrets: vec![("refresh_token", refresh.expose())],
        };
        let who = format!("the authorization server {}", grant.issuer);
        let answer = request_token(client, &who, &request).await;
        let token = answer
            .map_err(|error| error.to_string())
            .and_then(|answer| Token::read(&answer));
        match token {
            Ok(token) => {
                let renewed = Grant {
                    access_token: token.access,
                    refresh_token: token.refresh.or_else(|| grant.refresh_token.clone()),
                    expires_at: token.expires_at,
                    ..Grant::clone(grant)
                };
                Some(self.keep(renewed).await)
            }
            Err(error) => {
                tracing::warn!(server = self.server, error, "a grant could not be renewed");
                None
            }
        }
    }
}

/// Where tokens are issued.
pub(super) fn token_endpoint(found: &Discovered) -> Result<&str, String> {
    let endpoint = found.server.token_endpoint.as_deref();
    endpoint.ok_or_else(|| format!("{} has no `token_endpoint`", found.server.issuer))
}

/// What a token endpoint gives.
struct Token {
    access: Secret,
    refresh: Option<Secret>,
    expires_at: Option<u64>,
}

impl Token {
    fn read(answer: &Map<String, Value>) -> Result<Self, String> {
        let text = |name: &str| {
            answer
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let access = text("access_token").filter(|token| token.len() <= MAX_TOKEN);
        let access = access.ok_or("the answer has no `access_token`")?;
        // Others are proved with more than being there (RFC 6750, RFC 9449).
        if let Some(kind) = text("token_type").filter(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(format!("tokens of the type {kind:?} are not used"));
        }
        let lifetime = answer.get("expires_in").and_then(|said| {
            // Some say it as a text, and some with a fraction.
            let text = said.as_str().and_then(|text| text.trim().parse().ok());
            let lifetime = Duration::try_from_secs_f64(said.as_f64().or(text)?).ok()?;
            Some(lifetime.as_secs())
        });
        let refresh = text("refresh_token").filter(|token| token.len() <= MAX_TOKEN);
        Ok(Self {
            access: access.into(),
            refresh: refresh.map(Secret::from),
            expires_at: Some(now() + lifetime.unwrap_or(UNTOLD_SECS))
                .filter(|_| lifetime.is_some() || refresh.is_some()),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(answer: Value) -> Result<Token, String> {
        Token::read(answer.as_object().unwrap())
    }

    #[test]
    fn tokens_are_those_that_need_no_more_proof() {
        let token = read(json!({"access_token": "a", "token_type": "bearer", "expires_in": "60.5"})).unwrap();
        assert!(token.expires_at.unwrap() >= now() + 59 && token.refresh.is_none());
        assert!(read(json!({"access_token": "a"})).unwrap().expires_at.is_none());
        assert!(read(json!({"access_token": "a", "token_type": "DPoP"})).is_err());
        assert!(read(json!({"access_token": ""})).is_err());
        assert!(read(json!({"access_token": 1})).is_err());
    }
}
