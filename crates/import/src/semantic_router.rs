//! Configurations of the vLLM Semantic Router, v0.3.

mod bases;
mod classifiers;
mod documents;
mod hints;
mod images;
mod lookups;
mod memory;
mod providers;
mod reliability;
mod routing;
mod settings;
mod walk;

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use pointsman_config::Problem;

use crate::draft::{Draft, Imported};
use crate::source::Item;
use crate::yaml::Map;

/// Carries a configuration of the vLLM Semantic Router over: the file itself, a fragment of one, or what Kubernetes
/// and Helm wrap around one.
///
/// # Errors
/// When the file cannot be read, is no YAML, or holds no such configuration.
pub fn semantic_router(path: &Path) -> Result<Imported, Vec<Problem>> {
    let main: Rc<str> = path.display().to_string().into();
    let roots = documents::find(path, &main)?;
    let mut import = Import {
        draft: Draft::new(),
        schema: pointsman_config::schema(),
        reasoning: None,
        stores: BTreeMap::new(),
        memory: None,
        externals: BTreeMap::new(),
        learns: false,
    };
    for root in &roots {
        import.carry(root);
        import.draft.sweep(root, &hints::HINTS);
    }
    import.draft.blocks.note(
        "identity",
        "Callers need a key of Pointsman: pointsman key create --name NAME",
    );
    Ok(import.draft.finish(&main, "the vLLM Semantic Router"))
}

struct Import {
    draft: Draft,
    /// The schema of pointsman.yaml: its `routing` is the same language.
    schema: serde_json::Value,
    /// How much models reason where nothing else is said.
    reasoning: Option<String>,
    /// Addresses of stores of vectors that the cache has, by their kinds.
    stores: BTreeMap<&'static str, String>,
    /// What decisions remember of users, where they say nothing themselves.
    memory: Option<Map>,
    /// Models elsewhere that classifiers ask, each with how long it may take.
    externals: BTreeMap<String, Option<u64>>,
    /// Whether what happens is learned from.
    learns: bool,
}

impl Import {
    fn carry(&mut self, root: &Item) {
        if let Some(version) = root.get("version") {
            version.accept();
        }
        settings::listeners(self, root);
        self.stores = lookups::stores(root);
        self.memory = memory::usual(self, root);
        self.externals = classifiers::externals(self, root);
        let learning = root.at_path(&["global", "router", "learning", "enabled"]);
        self.learns = learning.and_then(Item::peek) == Some("true");
        let families = providers::families(self, root);
        providers::carry(self, root);
        routing::carry(self, root, &families);
        settings::carry(self, root);
    }
}
