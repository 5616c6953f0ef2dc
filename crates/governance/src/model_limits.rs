//! Limits of models: what all callers together may ask of them.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::account::{Account, Place};
use crate::config::{Limits, LimitsConfig};
use crate::lanes::Lanes;
use crate::pattern::fits;
use crate::sharing::Sharing;

/// Limits of models, with what is used of them. Counters are kept while the configuration changes.
#[derive(Debug, Clone, Default)]
pub struct ModelLimits {
    /// In one order for all requests.
    limited: Vec<Limited>,
}

/// Models that are limited together.
#[derive(Debug, Clone)]
struct Limited {
    pattern: String,
    account: Arc<Account>,
    lanes: Lanes,
}

/// Counters of one model.
pub(crate) type OfModel = SmallVec<[Arc<Account>; 4]>;

impl ModelLimits {
    /// Takes over a configuration; counted together with other replicas, where there are some.
    pub fn set(&mut self, config: &LimitsConfig, sharing: Option<&Arc<Sharing>>) {
        let mut known = std::mem::take(&mut self.limited);
        for (pattern, limits) in &config.models {
            let make = |lane: &str, more: &str| {
                let place = sharing.map(|sharing| Place::of_model(sharing, &format!("{pattern}{lane}")));
                let name = format!("whoever asks for {pattern:?}{more}");
                Arc::new(Account::new(&name, Limits::default(), place))
            };
            let found = known.iter().position(|limited| limited.pattern == *pattern);
            let mut limited = found.map_or_else(
                || Limited {
                    pattern: pattern.clone(),
                    account: make("", ""),
                    lanes: Lanes::default(),
                },
                |at| known.swap_remove(at),
            );
            limited.account.configure(*limits, &[], &[]);
            limited.lanes.set(&config.shares, *limits, make);
            self.limited.push(limited);
        }
    }

    /// Where what is asked of a model by a caller of this priority is counted.
    pub(crate) fn of(&self, model: &str, priority: Option<&str>) -> OfModel {
        let limited = self.limited.iter();
        let limited = limited.filter(|limited| fits(&limited.pattern, model));
        let counted =
            limited.flat_map(|limited| std::iter::once(&limited.account).chain(limited.lanes.of(priority)));
        counted.map(Arc::clone).collect()
    }
}
