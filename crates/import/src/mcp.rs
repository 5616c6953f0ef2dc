//! Configuration files of MCP clients: `mcpServers`, as most desktop clients have it, and `servers` of editors.

use std::path::Path;
use std::rc::Rc;

use pointsman_config::Problem;

use crate::draft::{Draft, Imported};
use crate::hints::Hints;
use crate::source::{self, Item};
use crate::variables::{is_secret_name, is_secret_url};
use crate::yaml::{Map, Yaml};

/// What has no counterpart.
const HINTS: Hints = Hints {
    known: &[
        (
            "inputs",
            "values are not asked for",
            "set the variables in the environment",
        ),
        ("mcpServers.*.autoApprove", "approval is the client's", ""),
        ("mcpServers.*.alwaysAllow", "approval is the client's", ""),
    ],
    unknown: ("it has no counterpart", ""),
};

/// Carries the servers of a client's file over.
///
/// # Errors
/// When the file cannot be read, or has no servers.
pub fn mcp_servers(path: &Path) -> Result<Imported, Vec<Problem>> {
    let main: Rc<str> = path.display().to_string().into();
    let nodes = source::read(path)?;
    let root = nodes
        .into_iter()
        .next()
        .map(|node| Item::new(node, &main, "", ""));
    let servers = root
        .as_ref()
        .and_then(|root| root.get("mcpServers").or_else(|| root.get("servers")));
    let (Some(root), Some(servers)) = (&root, servers) else {
        return Err(vec![Problem {
            file: main.to_string(),
            line: 1,
            column: 1,
            path: String::new(),
            message: "has neither `mcpServers` nor `servers`".to_owned(),
            suggestion: None,
        }]);
    };
    let mut draft = Draft::new();
    let mut carried = Map::default();
    for (said, server) in servers.entries() {
        if server.get("disabled").and_then(Item::flag) == Some(true) {
            draft.report.lost(server, "it is disabled", "");
            server.accept();
            continue;
        }
        let name = fitting(said, &carried);
        let server = self::server(&mut draft, &name, server);
        carried.set(&name, Yaml::Map(server));
        if name != *said {
            carried.note(&name, format!("{said:?}: names have letters, digits and `-`."));
        }
    }
    draft.block("mcp", |mcp| mcp.put_map("servers", carried));
    draft.sweep(root, &HINTS);
    Ok(draft.finish(&main, "an MCP client's file"))
}

/// A name that a server may have here, and no other has.
fn fitting(said: &str, carried: &Map) -> String {
    let mut name = String::new();
    for letter in said.chars().take(60) {
        if letter.is_ascii_alphanumeric() {
            name.push(letter);
        } else if !name.ends_with('-') {
            name.push('-');
        }
    }
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        name.insert(0, 's');
    }
    let mut unique = name.clone();
    let mut number = 1;
    while carried.get(&unique).is_some() {
        number += 1;
        unique = format!("{name}-{number}");
    }
    unique
}

fn server(draft: &mut Draft, name: &str, said: &Item) -> Map {
    let mut server = Map::default();
    // Said by what else is there.
    if let Some(kind) = said.get("type").or_else(|| said.get("transport")) {
        kind.accept();
        if kind.peek() == Some("sse") {
            server.set("transport", Yaml::text("sse"));
        }
    }
    let url = ["url", "serverUrl", "httpUrl"]
        .iter()
        .find_map(|key| said.get(key));
    if let Some(url) = url {
        let value = secret_or_text(draft, url, &format!("{name}_URL"), is_secret_url);
        server.set("url", value);
    }
    if let Some(command) = said.get("command") {
        let mut words = vec![Yaml::text(command.text().unwrap_or_default())];
        for argument in said.get("args").iter().flat_map(|args| args.items()) {
            words.push(Yaml::text(argument.text().unwrap_or_default()));
        }
        server.set("command", Yaml::list(words));
    }
    if let Some(folder) = said.get("cwd").and_then(Item::text) {
        server.set("folder", Yaml::text(folder));
    }
    for (from, to) in [("env", "env"), ("headers", "headers")] {
        let mut map = Map::default();
        for (key, value) in said.get(from).map(Item::entries).unwrap_or_default() {
            let wish = format!("{name}_{key}");
            let value = secret_or_text(draft, value, &wish, |_| is_secret_name(key));
            map.set(key, value);
        }
        server.put_map(to, map);
    }
    if let Some(seconds) = said.get("timeout").and_then(Item::whole) {
        // Some count milliseconds, some seconds: nobody waits a thousand of these.
        let millis = if seconds >= 1_000 {
            seconds
        } else {
            seconds * 1_000
        };
        server.set("timeout", Yaml::text(source::duration(millis)));
    }
    server
}

/// A text, or a variable in its place: one that the file names itself, or one for a secret in clear text.
fn secret_or_text(draft: &mut Draft, item: &Item, wish: &str, is_secret: impl Fn(&str) -> bool) -> Yaml {
    let text = item.text().unwrap_or_default().to_owned();
    let named = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .map(|name| name.strip_prefix("env:").unwrap_or(name));
    if let Some(name) = named.filter(|name| !name.contains([':', '}', '$'])) {
        return draft.variables.known(name);
    }
    if is_secret(&text) {
        return draft.variables.in_place_of(item, wish, &mut draft.report);
    }
    Yaml::text(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imported(text: &str) -> Result<Imported, Vec<Problem>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mcp.json");
        std::fs::write(&file, text).unwrap();
        mcp_servers(&file)
    }

    #[test]
    fn servers_of_a_client_are_carried_over() {
        let text = r#"{"mcpServers": {
            "file system": {"command": "npx", "args": ["-y", "server-fs", "/srv"], "env": {"API_KEY": "sk-clear", "MODE": "ro", "OTHER_TOKEN": "${OTHER}"}},
            "web": {"type": "http", "url": "https://example.com/mcp", "headers": {"Authorization": "Bearer clear"}},
            "off": {"command": "x", "disabled": true}
        }, "theme": "dark"}"#;
        let imported = imported(text).unwrap();
        assert!(
            imported.problems.is_empty(),
            "{:?}\n{}",
            imported.problems,
            imported.yaml
        );
        for expected in [
            "file-system:",
            "server-fs",
            "${FILE_SYSTEM_API_KEY}",
            "MODE: ro",
            "${OTHER}",
            "https://example.com/mcp",
            "${WEB_AUTHORIZATION}",
        ] {
            assert!(imported.yaml.contains(expected), "{expected}:\n{}", imported.yaml);
        }
        assert!(!imported.yaml.contains("clear") && !imported.yaml.contains("off:"));
        let told = imported.report.text();
        for expected in ["theme", "disabled"] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        assert!(
            imported("{\"a\": 1}").unwrap_err()[0]
                .message
                .contains("mcpServers")
        );
    }
}
