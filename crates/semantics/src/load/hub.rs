//! Where the hub's own tools keep models that were fetched before.

use std::path::{Path, PathBuf};

/// The folder of the model `owner/name` in a hub cache, in the revision that `main` was when it was fetched; none if it was
/// not. `root` is what holds the `models--…` folders.
#[must_use]
pub fn cached(root: &Path, name: &str) -> Option<PathBuf> {
    let plain = |part: &str| {
        let letters = part
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        letters && !part.is_empty() && !part.starts_with('.')
    };
    if !name.split('/').all(plain) || name.split('/').count() > 2 {
        return None;
    }
    let model = root.join(format!("models--{}", name.replace('/', "--")));
    let revision = std::fs::read_to_string(model.join("refs/main")).ok()?;
    let revision = revision.trim();
    if !plain(revision) {
        return None;
    }
    let folder = model.join("snapshots").join(revision);
    folder.join("config.json").exists().then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::cached;

    #[test]
    fn a_fetched_model_is_found_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("models--owner--name-1.0/snapshots/abc123");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(root.path().join("models--owner--name-1.0/refs")).unwrap();
        std::fs::write(root.path().join("models--owner--name-1.0/refs/main"), "abc123\n").unwrap();
        assert_eq!(cached(root.path(), "owner/name-1.0"), None);
        std::fs::write(folder.join("config.json"), "{}").unwrap();
        assert_eq!(cached(root.path(), "owner/name-1.0"), Some(folder));
        for wrong in [
            "owner/other",
            "../owner/name",
            "owner/..",
            "",
            "a/b/c",
            "owner/name-1.0/",
        ] {
            assert_eq!(cached(root.path(), wrong), None, "{wrong}");
        }
        std::fs::write(root.path().join("models--owner--name-1.0/refs/main"), "../abc123").unwrap();
        assert_eq!(cached(root.path(), "owner/name-1.0"), None);
    }
}
