//! An OpenAPI document as an MCP server.

use std::path::Path;
use std::rc::Rc;

use pointsman_config::Problem;
use pointsman_mcp::openapi::{Document, Scheme, operations};

use crate::draft::{Draft, Imported};
use crate::report::{Fate, Line, Report};
use crate::yaml::{Map, Yaml};

/// Makes a configuration with the API of a document as a server.
///
/// # Errors
/// When the file cannot be read, or is no such document.
pub fn openapi(path: &Path) -> Result<Imported, Vec<Problem>> {
    let main: Rc<str> = path.display().to_string().into();
    let problem = |message: String| {
        vec![Problem {
            file: main.to_string(),
            line: 1,
            column: 1,
            path: String::new(),
            message,
            suggestion: None,
        }]
    };
    let text = std::fs::read_to_string(path).map_err(|error| problem(format!("cannot be read: {error}")))?;
    let document = Document::read(&text).map_err(problem)?;
    let mut draft = Draft::new();
    let name = name(path);
    let mut server = Map::default();
    server.set("openapi", Yaml::text(main.to_string()));
    match document.server().filter(|server| server.starts_with("http")) {
        Some(base) => server.set("base_url", Yaml::text(base)),
        None => {
            let (variable, value) = draft.variables.fresh(&format!("{name}_URL"));
            server.set("base_url", value);
            server.note(
                "base_url",
                format!("The document does not say where the API is: set {variable}."),
            );
        }
    }
    if let Some(scheme) = document.schemes().first() {
        let (_, value) = draft.variables.fresh(&format!("{name}_API_KEY"));
        let mut auth = Map::default();
        auth.set("api_key", value);
        server.put_map("auth", auth);
        server.note("auth", told(scheme));
    }
    let (all, wrong) = operations(&document);
    for why in wrong {
        left_out(&mut draft.report, &main, &why);
    }
    let note = format!(
        "{} operations become tools; `tools: {{ allow: [...] }}` picks some.",
        all.len()
    );
    let mut servers = Map::default();
    servers.set(&name, Yaml::Map(server));
    servers.note(&name, note);
    draft.block("mcp", |mcp| mcp.put_map("servers", servers));
    Ok(draft.finish(&main, "an OpenAPI document"))
}

fn told(scheme: &Scheme) -> String {
    match scheme {
        Scheme::Header(name) => format!("The key goes into the header {name}."),
        Scheme::Query(name) => format!("The key goes into the query parameter {name}."),
        Scheme::Cookie(name) => format!("The key goes into the cookie {name}."),
        Scheme::Basic => "The key is base64 of `user:password`.".to_owned(),
        Scheme::Bearer => "The key is a bearer token; `oauth2` gets one by client credentials.".to_owned(),
    }
}

fn left_out(report: &mut Report, file: &Rc<str>, why: &str) {
    report.lines.push(Line {
        file: file.to_string(),
        line: 1,
        key: "paths".to_owned(),
        fate: Fate::NotCarried,
        why: why.to_owned(),
        instead: String::new(),
    });
}

/// A server's name, after the file.
fn name(path: &Path) -> String {
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let letters = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = stem.chars().take(60).map(letters).collect();
    if name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        name
    } else {
        format!("api-{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imported(text: &str) -> Result<Imported, Vec<Problem>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("Pet Shop.yaml");
        std::fs::write(&file, text).unwrap();
        openapi(&file)
    }

    #[test]
    fn a_document_becomes_a_server() {
        let text = "openapi: 3.0.0\nservers: [{url: https://api.example.com/v1}]\nsecurity: [{k: []}]\ncomponents: {securitySchemes: {k: {type: apiKey, in: header, name: X-Key}}}\npaths: {/a: {get: {operationId: a}}, '/b/{x}': {get: {operationId: b}}}";
        let imported = imported(text).unwrap();
        for expected in [
            "pet-shop:",
            "https://api.example.com/v1",
            "${PET_SHOP_API_KEY}",
            "X-Key",
            "1 operations",
        ] {
            assert!(imported.yaml.contains(expected), "{expected}:\n{}", imported.yaml);
        }
        assert!(imported.problems.is_empty(), "{:?}", imported.problems);
        assert!(
            imported.report.text().contains("GET /b/{x}"),
            "{}",
            imported.report.text()
        );
    }

    #[test]
    fn what_is_no_document_is_refused() {
        assert!(
            imported("a: 1").unwrap_err()[0]
                .message
                .contains("no OpenAPI document")
        );
    }
}
