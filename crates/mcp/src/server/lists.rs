//! What a server lists: found page by page, kept as long as it is good, and held against what was pinned before anybody
//! sees it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pointsman_upstream::Client;
use serde_json::Value;

use super::{Kept, Server};
use crate::catalog::{Item, Kind, List};
use crate::config::OnChange;
use crate::link::{Ask, Failed, Link};
use crate::message::{Object, Raw};
use crate::search::Source;
use crate::suspect::suspicion;

/// Most pages of a list, and most entries.
const MAX_PAGES: usize = 200;
const MAX_ITEMS: usize = 20_000;
/// How soon a server is asked again that wants somebody's consent.
const CLOSED: Duration = Duration::from_secs(2);

impl Server {
    /// What it lists, as last known.
    pub fn known(&self, kind: Kind) -> Option<(List, u64)> {
        let listed = &self.lists[kind as usize];
        let kept = listed.list.lock();
        let list = Arc::clone(&kept.as_ref()?.list);
        Some((list, listed.generation.load(Ordering::Acquire)))
    }

    /// As it is searched for.
    pub fn source(&self) -> Source {
        Source {
            name: self.name.clone(),
            says: self.says.lock().clone().unwrap_or_default(),
        }
    }

    /// How often what it lists has been found anew.
    pub fn generation(&self, kind: Kind) -> u64 {
        self.lists[kind as usize].generation.load(Ordering::Acquire)
    }

    /// What it lists is not what is known any more.
    pub fn invalidate(&self, kinds: &[Kind]) {
        for kind in kinds {
            if let Some(kept) = self.lists[*kind as usize].list.lock().as_mut() {
                kept.until = Instant::now();
            }
        }
    }

    /// Makes sure that what it lists is known and fresh. A server that is late or gone keeps its last list.
    pub async fn refresh(self: &Arc<Self>, client: &Client, kind: Kind) {
        let listed = &self.lists[kind as usize];
        let is_fresh = || {
            let kept = listed.list.lock();
            kept.as_ref().is_some_and(|kept| Instant::now() < kept.until)
        };
        if is_fresh() {
            return;
        }
        let finding = async {
            let _turn = listed.refreshing.lock().await;
            if is_fresh() {
                return;
            }
            match self.find(client, kind).await {
                Ok((list, ttl)) => self.keep(kind, list, ttl),
                Err(Failed::Consent(_)) => {
                    let entrance = (kind == Kind::Tools).then(|| Arc::new(Item::entrance(&self.name)));
                    self.keep(kind, entrance.into_iter().collect(), CLOSED);
                }
                Err(why) => tracing::debug!(server = self.name, error = %why, "{} failed", kind.method()),
            }
        };
        if tokio::time::timeout(self.lists_for.timeout, Box::pin(finding))
            .await
            .is_err()
        {
            tracing::warn!(server = self.name, "{} took too long", kind.method());
            // Opening, or not even that.
            if self.house.try_lock().map_or(true, |house| house.is_none()) {
                self.rest(&Failed::Late);
            }
        }
    }

    fn keep(&self, kind: Kind, list: Vec<Arc<Item>>, ttl: Duration) {
        let listed = &self.lists[kind as usize];
        *listed.list.lock() = Some(Kept {
            list: Arc::new(list),
            until: Instant::now() + ttl,
        });
        listed.generation.fetch_add(1, Ordering::AcqRel);
    }

    async fn find(
        self: &Arc<Self>,
        client: &Client,
        kind: Kind,
    ) -> Result<(Vec<Arc<Item>>, Duration), Failed> {
        let mut link = self.house(client).await?;
        match self.find_on(&link, client, kind).await {
            Err(Failed::Lost) => {}
            found => return found_list(found),
        }
        self.drop_house(&link).await;
        link = self.house(client).await?;
        found_list(self.find_on(&link, client, kind).await)
    }

    /// All pages of a list.
    async fn find_on(&self, link: &Arc<Link>, client: &Client, kind: Kind) -> Result<Pages, Failed> {
        let mut pages = Pages::default();
        if link.greeting.capabilities.get(kind.capability()).is_none() {
            pages.ttl = Some(self.lists_for.ttl);
            return Ok(pages);
        }
        let mut cursor: Option<Raw> = None;
        for _ in 0..MAX_PAGES {
            let mut params = Object::default();
            if let Some(cursor) = &cursor {
                params.set("cursor", cursor);
            }
            let ask = Ask {
                method: kind.method().to_owned(),
                params,
                headers: Vec::new(),
                sink: None,
                timeout: self.timeout,
                trail: None,
                resume: None,
            };
            let result = match link.ask(client, ask).await?.outcome {
                Ok(result) => result,
                // A server may have resources and no templates.
                Err(_) if kind == Kind::Templates => break,
                Err(error) => return Err(Failed::Broken(format!("the server answered {}", short(&error)))),
            };
            let result = Object::parse(result.get())
                .map_err(|_| Failed::Broken("its list is no object".to_owned()))?;
            pages.raw.extend(result.list(kind.field()).unwrap_or_default());
            let ttl = result.get("ttlMs").and_then(|ttl| ttl.get().parse::<u64>().ok());
            let ttl = ttl.map_or(self.lists_for.ttl, Duration::from_millis);
            pages.ttl = Some(pages.ttl.map_or(ttl, |before| before.min(ttl)));
            if pages.raw.len() > MAX_ITEMS {
                return Err(Failed::Broken(format!("it lists more than {MAX_ITEMS} entries")));
            }
            cursor = result
                .get("nextCursor")
                .filter(|next| next.get() != "null")
                .map(ToOwned::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        pages.read(self, kind);
        Ok(pages)
    }

    /// Whether a tool may be shown, after it has been held against what was pinned.
    fn judge(&self, item: &Item) -> bool {
        let Ok(definition) = serde_json::from_str::<Value>(item.object.raw().get()) else {
            return false;
        };
        let mut judged = self.judged.lock();
        if let Some(why) = suspicion(&item.name, &definition) {
            let hide = self.config.on_suspect == OnChange::Quarantine;
            if judged.suspects.insert(item.name.clone()) {
                let what = if hide { "it is hidden" } else { "it is still shown" };
                // Its name may be what is suspect.
                let tool = item.name.escape_debug().to_string();
                tracing::warn!(
                    server = self.name,
                    tool,
                    why,
                    "the definition of a tool is suspect; {what}"
                );
            }
            if hide {
                judged.quarantined.insert(item.name.clone());
                return false;
            }
        } else {
            judged.suspects.remove(&item.name);
        }
        let Some(change) = judged.pins.look(&item.name, &definition) else {
            judged.quarantined.remove(&item.name);
            return true;
        };
        let hide = self.config.on_change == OnChange::Quarantine;
        if hide {
            judged.quarantined.insert(item.name.clone());
        }
        if !change.is_known {
            let fields = change.fields.join(", ");
            let what = if hide { "it is hidden" } else { "it is still shown" };
            tracing::warn!(
                server = self.name,
                tool = item.name,
                fields,
                "the definition of a tool is not the one that was pinned; {what}"
            );
        }
        !hide
    }
}

/// The pages of a list.
#[derive(Debug, Default)]
struct Pages {
    raw: Vec<Raw>,
    items: Vec<Arc<Item>>,
    ttl: Option<Duration>,
}

impl Pages {
    fn read(&mut self, server: &Server, kind: Kind) {
        for raw in self.raw.drain(..) {
            match Item::read(kind, &raw) {
                Ok(item)
                    if kind != Kind::Tools || (server.judge(&item) && server.rules.allows(&item.name)) =>
                {
                    self.items.push(Arc::new(item));
                }
                Ok(_) => {}
                Err(why) => tracing::warn!(
                    server = server.name,
                    why,
                    "an entry of {} is left out",
                    kind.method()
                ),
            }
        }
    }
}

fn found_list(found: Result<Pages, Failed>) -> Result<(Vec<Arc<Item>>, Duration), Failed> {
    found.map(|pages| (pages.items, pages.ttl.unwrap_or_default()))
}

fn short(error: &Raw) -> String {
    error.get().chars().take(200).collect()
}
