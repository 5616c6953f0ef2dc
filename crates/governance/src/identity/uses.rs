//! Which keys in memory depend on which holders: what is changed at one holder costs its keys alone.

use std::collections::{HashMap, HashSet};

use pointsman_store::{HolderKind, KeyId, KeyRecord};

use crate::directory::Chain;

/// A holder by its kind and id.
pub(super) type Named = (HolderKind, String);

/// Keys by their holders, and the other way round.
#[derive(Default)]
pub(super) struct Uses {
    keys: HashMap<Named, HashSet<KeyId>>,
    holders: HashMap<KeyId, Vec<Named>>,
}

impl Uses {
    /// Takes over on whom a key depends now. What a key names counts as much as what follows from it: a holder that is
    /// not known yet may be, later.
    pub(super) fn note(&mut self, record: &KeyRecord, chain: &Chain) {
        let named = holders(record, chain);
        if self.holders.get(&record.id) == Some(&named) {
            return;
        }
        for holder in self.holders.remove(&record.id).into_iter().flatten() {
            if let Some(keys) = self.keys.get_mut(&holder) {
                keys.remove(&record.id);
                if keys.is_empty() {
                    self.keys.remove(&holder);
                }
            }
        }
        for holder in &named {
            self.keys
                .entry(holder.clone())
                .or_default()
                .insert(record.id.clone());
        }
        self.holders.insert(record.id.clone(), named);
    }

    /// The keys that depend on any of these.
    pub(super) fn of<'a>(&'a self, holders: &'a HashSet<Named>) -> impl Iterator<Item = &'a KeyId> {
        holders
            .iter()
            .filter_map(|holder| self.keys.get(holder))
            .flatten()
    }
}

/// All that a key depends on, each once.
fn holders(record: &KeyRecord, chain: &Chain) -> Vec<Named> {
    let grant = &record.grant;
    let named = [
        (HolderKind::User, grant.user.as_ref().map(AsRef::as_ref)),
        (HolderKind::Project, grant.project.as_ref().map(AsRef::as_ref)),
        (HolderKind::Team, grant.team.as_ref().map(AsRef::as_ref)),
        (HolderKind::Team, chain.team.as_ref().map(AsRef::as_ref)),
        (
            HolderKind::Organization,
            grant.organization.as_ref().map(AsRef::as_ref),
        ),
        (
            HolderKind::Organization,
            chain.organization.as_ref().map(AsRef::as_ref),
        ),
        (HolderKind::Plan, grant.plan.as_ref().map(AsRef::<str>::as_ref)),
    ];
    let mut all: Vec<Named> = Vec::new();
    for (kind, id) in named {
        let Some(id) = id else { continue };
        if !all
            .iter()
            .any(|(known, name)| (*known, name.as_str()) == (kind, id))
        {
            all.push((kind, id.to_owned()));
        }
    }
    all
}
