//! What is asked beside lists and calls: levels of logs, completions, subscriptions.

use super::{Answered, Asker, Refused};
use crate::catalog::Kind;
use crate::error::RpcError;
use crate::message::{Object, Raw};
use crate::session::Session;
use crate::view::Found;

impl Asker {
    pub(super) async fn set_level(&self, session: &Session, params: &Object) -> Result<Raw, Refused> {
        const LEVELS: [&str; 8] = [
            "debug",
            "info",
            "notice",
            "warning",
            "error",
            "critical",
            "alert",
            "emergency",
        ];
        let level = params
            .text("level")
            .filter(|level| LEVELS.contains(&level.as_str()));
        let Some(level) = level else {
            return Err(RpcError::params(format!("`level` is one of {}", LEVELS.join(", "))).into());
        };
        session.set_level(&self.client, &level).await;
        Ok(Object::default().raw())
    }

    /// What a prompt's or a template's argument could be.
    pub(super) async fn complete(&self, params: &Object, answered: &mut Answered) -> Result<Raw, Refused> {
        let mut reference = params
            .object("ref")
            .ok_or_else(|| RpcError::params("`ref` is missing"))?;
        let (key, kind) = match reference.text("type").as_deref() {
            Some("ref/prompt") => ("name", Kind::Prompts),
            Some("ref/resource") => ("uri", Kind::Templates),
            _ => return Err(RpcError::params("`ref.type` is ref/prompt or ref/resource").into()),
        };
        let name = reference
            .text(key)
            .ok_or_else(|| RpcError::params(format!("`ref.{key}` is missing")))?;
        let found = if kind == Kind::Templates {
            match self.view.find(&self.client, kind, &name).await {
                Some(found) => Some(found),
                None => self.view.find_uri(&self.client, &name).await,
            }
        } else {
            self.view.find(&self.client, kind, &name).await
        };
        let found = found.filter(|found| self.may(&found.server, kind, &found.name));
        let Some(found) = found else {
            return Err(self.nothing(kind, &name).into());
        };
        self.scoped(&found, kind)?;
        self.may_flow(&found.server).await?;
        answered.server = Some(found.server.name.clone());
        reference.set(key, &found.name);
        let mut params = params.clone();
        params.set("ref", &reference);
        let params = match self.outgoing(&found, kind, params).await {
            Ok(params) => params,
            Err(stopped) => return stopped.told(),
        };
        let (sink, _) = tokio::sync::mpsc::channel(1);
        let result = self
            .exchange(&found, "completion/complete", params, &sink)
            .await?;
        self.incoming(&found.server, result).await
    }

    pub(super) async fn watch(&self, found: &Found, method: &str) -> Result<Raw, Refused> {
        let link = self
            .link(&found.server)
            .await
            .map_err(|failed| self.failure(&found.server, failed))?;
        let timeout = found.server.timeout;
        let asked = if method == "resources/subscribe" {
            link.watch(&self.client, &found.name, timeout).await
        } else {
            link.unwatch(&self.client, &found.name, timeout).await
        };
        let answer = asked.map_err(|failed| self.failure(&found.server, failed))?;
        answer.outcome.map_err(Refused::There)
    }
}
