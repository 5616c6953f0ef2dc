//! The tables in the documentation name tests: each exists.

use std::path::Path;

fn sources(folder: &Path, all: &mut String) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            let name = path.file_name().unwrap_or_default();
            if name != "target" && name != "data" && name != "node_modules" {
                sources(&path, all);
            }
        } else if path
            .extension()
            .is_some_and(|kind| kind == "rs" || kind == "py" || kind == "mjs")
        {
            all.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// Each row of a table in a document ends in names of tests, in backticks or, of those in sentences, in quotes.
fn check(document: &str, at_least: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut all = String::new();
    sources(&root.join("crates"), &mut all);
    sources(&root.join("tests"), &mut all);
    let table = std::fs::read_to_string(root.join(document)).unwrap();
    let heads = ["| Pain ", "| Attack ", "| Problem "];
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| ") && !heads.iter().any(|head| line.starts_with(head)))
        .collect();
    assert!(rows.len() >= at_least, "{}", rows.len());
    for row in rows {
        let (_, tests) = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        let sentences: Vec<&str> = tests.split('"').skip(1).step_by(2).collect();
        assert!(!names.is_empty() || !sentences.is_empty(), "{row}");
        for name in names {
            let found = ["fn ", "def "]
                .iter()
                .any(|word| all.contains(&format!("{word}{name}(")));
            assert!(found, "no test {name}: {row}");
        }
        for sentence in sentences {
            assert!(
                all.contains(&format!("test(\"{sentence}\"")),
                "no test {sentence:?}: {row}"
            );
        }
    }
}

#[test]
fn every_test_in_the_table_of_pains_exists() {
    check("docs/pains.md", 60);
}

#[test]
fn every_test_in_the_tables_of_attacks_and_problems_exists() {
    check("docs/security-tests.md", 40);
}
