//! The table in the documentation names tests: each exists.

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
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "py") {
            all.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_in_the_table_of_pains_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut all = String::new();
    sources(&root.join("crates"), &mut all);
    sources(&root.join("tests"), &mut all);
    let table = std::fs::read_to_string(root.join("docs/pains.md")).unwrap();
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| Pain "))
        .collect();
    assert!(rows.len() >= 60, "{}", rows.len());
    for row in rows {
        let (_, tests) = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{row}");
        for name in names {
            let found = ["fn ", "def "]
                .iter()
                .any(|word| all.contains(&format!("{word}{name}(")));
            assert!(found, "no test {name}: {row}");
        }
    }
}
