//! Definitions that were approved, in a file that people keep.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most bytes of the file.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Definitions of tools, by their server and name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approved {
    /// Servers, and the tools of each.
    pub servers: BTreeMap<String, BTreeMap<String, Value>>,
}

/// A tool that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its server.
    pub server: String,
    /// Its name.
    pub tool: String,
    /// What it was; nothing when it is new.
    pub before: Option<Value>,
    /// What it is; nothing when it is gone.
    pub after: Option<Value>,
}

impl Approved {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let size = std::fs::metadata(path).map_err(|error| wrong(&error))?.len();
        if size > MAX_BYTES {
            return Err(wrong(&format!("it is larger than {MAX_BYTES} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        serde_json::from_str(&text).map_err(|error| wrong(&error))
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        format!("{text}\n")
    }

    /// What of `now` is not as it is here.
    #[must_use]
    pub fn differences(&self, now: &Self) -> Vec<Difference> {
        let empty = BTreeMap::new();
        let mut servers: Vec<&String> = self.servers.keys().chain(now.servers.keys()).collect();
        servers.sort_unstable();
        servers.dedup();
        let mut differences = Vec::new();
        for server in servers {
            let before = self.servers.get(server).unwrap_or(&empty);
            let after = now.servers.get(server).unwrap_or(&empty);
            let mut tools: Vec<&String> = before.keys().chain(after.keys()).collect();
            tools.sort_unstable();
            tools.dedup();
            for tool in tools
                .into_iter()
                .filter(|tool| before.get(*tool) != after.get(*tool))
            {
                differences.push(Difference {
                    server: server.clone(),
                    tool: tool.clone(),
                    before: before.get(tool).cloned(),
                    after: after.get(tool).cloned(),
                });
            }
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn approved(value: Value) -> Approved {
        serde_json::from_value(json!({ "servers": value })).unwrap()
    }

    #[test]
    fn what_is_new_gone_or_other_is_told_and_nothing_else() {
        let before =
            approved(json!({ "a": { "same": { "x": 1, "y": 2 }, "other": { "d": "adds" }, "gone": {} } }));
        let after = approved(
            json!({ "a": { "same": { "y": 2, "x": 1 }, "other": { "d": "reads ~/.ssh" } }, "b": { "new": {} } }),
        );
        let told: Vec<(String, bool, bool)> = before
            .differences(&after)
            .into_iter()
            .map(|one| {
                (
                    format!("{}/{}", one.server, one.tool),
                    one.before.is_some(),
                    one.after.is_some(),
                )
            })
            .collect();
        let expected = [
            ("a/gone", true, false),
            ("a/other", true, true),
            ("b/new", false, true),
        ];
        assert_eq!(
            told,
            expected.map(|(name, before, after)| (name.to_owned(), before, after))
        );
        assert_eq!(serde_json::from_str::<Approved>(&before.text()).unwrap(), before);
    }
}
