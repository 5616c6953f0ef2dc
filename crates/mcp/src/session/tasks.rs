//! Tasks of a session: which were begun in it, and what its client calls them.

use std::collections::HashSet;

use super::Session;
use crate::link::Link;
use crate::message::{self, Notification, Object, Raw};
use crate::server::Server;
use crate::task::Names;

/// Tasks of a session that are listed, the latest.
const MAX_TASKS: usize = 1_024;
/// What fields begin with that note tasks.
const TASK: &str = "task:";

impl Session {
    /// Notes a task that was begun here.
    pub async fn note_task(&self, server: &str, id: &str) {
        {
            let mut tasks = self.tasks.lock();
            if tasks.len() >= MAX_TASKS {
                tasks.pop_front();
            }
            tasks.push_back((server.to_owned(), id.to_owned()));
        }
        if let Some(sharing) = &self.sharing {
            sharing.note(&format!("{TASK}{server}:{id}"), "").await;
        }
    }

    /// The tasks that were begun in it, here or at another replica.
    pub async fn tasks(&self) -> HashSet<(String, String)> {
        let mut all: HashSet<_> = self.tasks.lock().iter().cloned().collect();
        if let Some(sharing) = &self.sharing {
            let shelf = &sharing.shelf;
            let fields = shelf.sessions.fields(&shelf.key, shelf.life).await;
            for name in fields.ok().flatten().unwrap_or_default().into_keys() {
                let task = name.strip_prefix(TASK).and_then(|task| task.split_once(':'));
                all.extend(task.map(|(server, id)| (server.to_owned(), id.to_owned())));
            }
        }
        all
    }

    /// What its client calls tasks.
    pub(super) fn names<'a>(&'a self, server: &'a Server) -> Names<'a> {
        Names {
            vault: server.vault(),
            owner: &self.owner,
        }
    }

    /// What a client answers, as its server calls the task that it belongs to.
    pub(super) fn of_task(&self, server: &Server, said: Raw) -> Raw {
        if !said.get().contains("taskId") {
            return said;
        }
        let Ok(mut object) = Object::parse(said.get()) else {
            return said;
        };
        if self.names(server).hide_related(&mut object) {
            return object.raw();
        }
        said
    }

    /// A notification, as its client sees it.
    pub(super) fn shown(&self, link: &Link, mut told: Notification) -> String {
        if told.method == "notifications/resources/updated"
            && let Some(uri) = told.params.text("uri")
        {
            let shown = self.view.lock().show_uri(&link.server.name, &uri);
            told.params.set("uri", &shown);
        }
        let names = self.names(&link.server);
        if told.method == "notifications/tasks/status" {
            names.show_told(&link.server.name, &mut told.params);
        } else {
            names.show_related(&link.server.name, &mut told.params);
        }
        message::notification(&told.method, &told.params)
    }
}
