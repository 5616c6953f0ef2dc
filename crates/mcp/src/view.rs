//! What clients see at one address: servers, the names of their things, and which server a name leads to.

use std::sync::Arc;

use futures_util::future::join_all;
use parking_lot::Mutex;
use pointsman_catalog::Money;
use pointsman_upstream::Client;

use crate::catalog::{self, Entry, Kind, List, Merged};
use crate::config::Prefix;
use crate::message::{Object, Raw};
use crate::search::Index;
use crate::server::Server;
use crate::virtuals::Picked;

/// Servers as they are seen at one address.
pub struct View {
    servers: Vec<Arc<Server>>,
    prefix: Prefix,
    /// Whether it is the address of one server alone.
    alone: bool,
    /// Which tools of theirs there are here, and what they are called.
    picked: Picked,
    /// Whether tools are found by searching, and not listed.
    searched: bool,
    merged: [Mutex<Option<Made>>; 4],
    index: Mutex<Option<(Arc<Merged>, Arc<Index>)>>,
}

/// A merged list, and of which lists it was made.
struct Made {
    generations: Vec<u64>,
    merged: Arc<Merged>,
}

/// Where a name leads.
#[derive(Debug, Clone)]
pub struct Found {
    /// The server.
    pub server: Arc<Server>,
    /// What the server calls it.
    pub name: String,
    /// What is known of it.
    pub entry: Option<Entry>,
}

impl Found {
    /// Whether nothing is lost when it is done twice: it reads, or its server says so.
    #[must_use]
    pub fn is_harmless(&self, method: &str) -> bool {
        let annotations = self
            .entry
            .as_ref()
            .and_then(|entry| entry.item.object.object("annotations"));
        let says = |hint: &str| {
            let annotations = annotations.as_ref();
            annotations
                .and_then(|said| said.get(hint))
                .is_some_and(|said| said.get() == "true")
        };
        method != "tools/call" || says("readOnlyHint") || says("idempotentHint")
    }
}

impl View {
    /// The server of this name.
    #[must_use]
    pub fn server(&self, name: &str) -> Option<&Arc<Server>> {
        self.servers.iter().find(|server| server.name == name)
    }

    /// The servers, in the order in which they are shown.
    #[must_use]
    pub fn new(servers: Vec<Arc<Server>>, prefix: Prefix, alone: bool) -> Self {
        Self {
            servers,
            prefix,
            alone,
            picked: Picked::default(),
            searched: false,
            merged: Default::default(),
            index: Mutex::default(),
        }
    }

    /// With these tools alone.
    #[must_use]
    pub fn with(mut self, picked: Picked) -> Self {
        self.picked = picked;
        self
    }

    /// With tools that are found by searching.
    #[must_use]
    pub fn searched(mut self, searched: bool) -> Self {
        self.searched = searched;
        self
    }

    /// The same address, its servers asked on behalf of somebody: what is chosen of them, and how, stays.
    #[must_use]
    pub fn through(&self, servers: Vec<Arc<Server>>) -> Self {
        Self::new(servers, self.prefix, self.alone)
            .with(self.picked.clone())
            .searched(self.searched)
    }

    /// Whether tools are found by searching, and not listed.
    #[must_use]
    pub fn is_searched(&self) -> bool {
        self.searched
    }

    /// What is searched in a list.
    pub fn index(&self, merged: &Arc<Merged>) -> Arc<Index> {
        let mut kept = self.index.lock();
        if let Some((of, index)) = kept.as_ref()
            && Arc::ptr_eq(of, merged)
        {
            return Arc::clone(index);
        }
        let tools = merged.entries.iter().map(|entry| entry.described()).collect();
        let sources = self.servers.iter().map(|server| server.source()).collect();
        let index = Arc::new(Index::new(tools, sources));
        *kept = Some((Arc::clone(merged), Arc::clone(&index)));
        index
    }

    /// The servers.
    #[must_use]
    pub fn servers(&self) -> &[Arc<Server>] {
        &self.servers
    }

    /// Whether it is the address of one server alone.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// Whether this very server is among them, asked on behalf of the same.
    #[must_use]
    pub fn asks(&self, server: &Arc<Server>) -> bool {
        self.servers.iter().any(|other| Arc::ptr_eq(other, server))
    }

    /// Whether a server is among them.
    #[must_use]
    pub fn has(&self, server: &str) -> bool {
        self.servers.iter().any(|other| other.name == server)
    }

    /// The list as it is known.
    pub fn known(&self, kind: Kind) -> Arc<Merged> {
        let generations: Vec<u64> = self
            .servers
            .iter()
            .map(|server| server.generation(kind))
            .collect();
        let mut made = self.merged[kind as usize].lock();
        if let Some(made) = made.as_ref()
            && made.generations == generations
        {
            return Arc::clone(&made.merged);
        }
        let lists: Vec<(&str, List)> = self
            .servers
            .iter()
            .map(|server| {
                let list = server.known(kind).map(|(list, _)| list).unwrap_or_default();
                (server.name.as_str(), self.picked.of(kind, &server.name, list))
            })
            .collect();
        let called = |server: &str, name: &str| self.picked.called(kind, server, name);
        let merged = Arc::new(catalog::merge_as(kind, self.prefix, &lists, called));
        for (at, name) in &merged.hidden {
            let server = &self.servers[*at].name;
            tracing::warn!(
                server,
                name,
                "hidden at this address: another server has the same name"
            );
        }
        *made = Some(Made {
            generations,
            merged: Arc::clone(&merged),
        });
        merged
    }

    /// The list, asked of whoever has not been asked of late. Servers that are late or gone are there as last known.
    pub async fn fresh(&self, client: &Client, kind: Kind) -> Arc<Merged> {
        join_all(self.servers.iter().map(|server| server.refresh(client, kind))).await;
        self.known(kind)
    }

    /// What limits and budgets know a tool as, at whichever address it is called: `mcp/`, its server, `/`, and what that
    /// calls it.
    pub async fn counted_as(&self, client: &Client, name: &str) -> Option<String> {
        let found = self.find(client, Kind::Tools, name).await?;
        Some(format!("mcp/{}/{}", found.server.name, found.name))
    }

    /// What a call of a tool costs, as far as its list is known.
    #[must_use]
    pub fn price(&self, name: &str) -> Money {
        let known = self.known(Kind::Tools);
        let entry = known.find(name);
        entry.map_or(Money::ZERO, |entry| {
            self.servers[entry.server].price(&entry.item.name)
        })
    }

    /// Where the name of a tool or prompt leads. What is denied leads nowhere.
    pub async fn find(&self, client: &Client, kind: Kind, name: &str) -> Option<Found> {
        let known = self.known(kind);
        let found = match known.find(name) {
            Some(entry) => self.found(entry),
            None => {
                let fresh = self.fresh(client, kind).await;
                fresh.find(name).map(|entry| self.found(entry))?
            }
        };
        // A list may be older than a quarantine.
        let is_entrance = found.entry.as_ref().is_some_and(|entry| entry.item.is_entrance);
        (kind != Kind::Tools || is_entrance || found.server.allows(&found.name)).then_some(found)
    }

    /// Where a URI leads.
    pub async fn find_uri(&self, client: &Client, uri: &str) -> Option<Found> {
        if let Some(entry) = self.known(Kind::Resources).find(uri) {
            return Some(self.found(entry));
        }
        if let Some(found) = self.unprefixed(uri) {
            return Some(found);
        }
        let (resources, templates) = tokio::join!(
            self.fresh(client, Kind::Resources),
            self.fresh(client, Kind::Templates)
        );
        if let Some(entry) = resources.find(uri) {
            return Some(self.found(entry));
        }
        let template = templates
            .entries
            .iter()
            .find(|entry| catalog::fits(&entry.shown, uri));
        let server = match template {
            Some(entry) => self.servers.get(entry.server)?,
            // Only one of them can have it.
            None => {
                let mut able = self.servers.iter().enumerate().filter(|(at, _)| {
                    let theirs = |merged: &Merged| merged.entries.iter().any(|entry| entry.server == *at);
                    theirs(&resources) || theirs(&templates)
                });
                let (_, first) = able.next()?;
                if able.next().is_some() || self.prefix == Prefix::Always {
                    return None;
                }
                first
            }
        };
        Some(Found {
            server: Arc::clone(server),
            name: uri.to_owned(),
            entry: None,
        })
    }

    /// A URI, or the template of some, that begins with the name of its server.
    fn unprefixed(&self, uri: &str) -> Option<Found> {
        if self.prefix == Prefix::Never {
            return None;
        }
        let (name, rest) = uri.split_once('+')?;
        let server = self.servers.iter().find(|server| server.name == name)?;
        Some(Found {
            server: Arc::clone(server),
            name: rest.to_owned(),
            entry: None,
        })
    }

    fn found(&self, entry: &Entry) -> Found {
        Found {
            server: Arc::clone(&self.servers[entry.server]),
            name: entry.item.name.clone(),
            entry: Some(entry.clone()),
        }
    }

    /// What clients call a resource of a server.
    #[must_use]
    pub fn show_uri(&self, server: &str, uri: &str) -> String {
        match self.prefix {
            Prefix::Never => uri.to_owned(),
            Prefix::Always => catalog::prefixed(Kind::Resources, server, uri),
            Prefix::Clash => {
                let at = self.servers.iter().position(|other| other.name == server);
                let resources = self.known(Kind::Resources);
                let shown = at.and_then(|at| resources.shown(at, uri).map(str::to_owned));
                shown.unwrap_or_else(|| uri.to_owned())
            }
        }
    }

    /// A result with the URIs in it as clients call them.
    #[must_use]
    pub fn show(&self, server: &str, result: Raw) -> Raw {
        // Most results name no URI, and most addresses change none.
        if self.prefix == Prefix::Never || !result.get().contains("\"uri\"") {
            return result;
        }
        let Ok(mut object) = Object::parse(result.get()) else {
            return result;
        };
        for field in ["contents", "content"] {
            if let Some(list) = object.list(field) {
                let shown: Vec<Raw> = list
                    .into_iter()
                    .map(|one| self.show_content(server, one))
                    .collect();
                object.set(field, &shown);
            }
        }
        if let Some(messages) = object.list("messages") {
            let shown: Vec<Raw> = messages
                .into_iter()
                .map(|message| {
                    let Ok(mut object) = Object::parse(message.get()) else {
                        return message;
                    };
                    if let Some(content) = object.get("content").map(ToOwned::to_owned) {
                        object.set("content", &self.show_content(server, content));
                    }
                    object.raw()
                })
                .collect();
            object.set("messages", &shown);
        }
        object.raw()
    }

    /// Something with a `uri`, or with a `resource` that has one.
    fn show_content(&self, server: &str, content: Raw) -> Raw {
        let Ok(mut object) = Object::parse(content.get()) else {
            return content;
        };
        if let Some(uri) = object.text("uri") {
            object.set("uri", &self.show_uri(server, &uri));
        } else if let Some(mut resource) = object.object("resource")
            && let Some(uri) = resource.text("uri")
        {
            resource.set("uri", &self.show_uri(server, &uri));
            object.set("resource", &resource);
        } else {
            return content;
        }
        object.raw()
    }
}
