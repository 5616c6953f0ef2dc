//! Tools found by what they are for, of those that the caller may use.

use serde_json::json;

use super::policy::Listed;
use super::{Asker, Outgoing, Refused};
use crate::catalog::Kind;
use crate::message::{Object, Raw, Request};
use crate::virtuals::{self, Wish};

/// Tools that are judged to fill one answer, in how many times those that are wanted: guardrails may hide some.
const LOOKED_AT: usize = 4;

/// The two tools that are listed where others are searched for.
pub(super) fn listed() -> Raw {
    let mut result = Object::default();
    result.set(Kind::Tools.field(), &virtuals::listed());
    result.raw()
}

impl Asker {
    /// Whether a request searches for tools.
    pub(super) fn is_search(&self, request: &Request) -> bool {
        self.view.is_searched()
            && request.method == "tools/call"
            && request.params.text("name").as_deref() == Some(virtuals::FIND)
    }

    /// Finds tools. What is denied is not there, however well it fits.
    pub(super) async fn find_tools(&self, params: &Object) -> Result<Raw, Refused> {
        let wish = match Wish::read(params) {
            Ok(wish) => wish,
            Err(why) => return Outgoing::Wrong(why).told(),
        };
        let merged = self.view.fresh(&self.client, Kind::Tools).await;
        let index = self.view.index(&merged);
        let likeness = match &self.hub.reader {
            Some(reader) => self.hub.vectors.likeness(reader, &index, &wish.query).await,
            None => None,
        };
        let scores = index.scores(&wish.query, likeness.as_ref());
        let order = index.order(&scores, |at| {
            let entry = &merged.entries[at];
            let server = &self.view.servers()[entry.server];
            server.allows(&entry.item.name) && self.may(server, Kind::Tools, &entry.item.name)
        });
        let seen = order.into_iter().map(|at| {
            let entry = &merged.entries[at];
            Listed {
                server: &self.view.servers()[entry.server],
                item: &entry.item,
                text: &entry.text,
            }
        });
        let best: Vec<Listed<'_>> = seen.take(wish.limit * LOOKED_AT).collect();
        let mut found = Vec::with_capacity(wish.limit);
        let mut left = best.into_iter();
        while found.len() < wish.limit {
            let some: Vec<Listed<'_>> = left.by_ref().take(wish.limit - found.len()).collect();
            if some.is_empty() {
                break;
            }
            found.extend(self.listed(some).await);
        }
        let mut structured = Object::default();
        structured.set(Kind::Tools.field(), &found);
        let structured = structured.raw();
        let mut result = Object::default();
        result.set("content", &json!([{ "type": "text", "text": structured.get() }]));
        result.set("structuredContent", &structured);
        result.set("isError", &false);
        Ok(result.raw())
    }
}
