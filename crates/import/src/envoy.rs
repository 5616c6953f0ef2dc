//! Envoy AI Gateway's resources: routes, backends, their credentials and traffic policies, as one file of YAML.

mod backend;
mod gateway;
mod hints;
mod mutation;
mod objects;
mod route;
mod security;
mod traffic;

use std::path::Path;
use std::rc::Rc;

use pointsman_config::Problem;

use crate::draft::{Draft, Imported};
use crate::source::Item;
use crate::yaml::Yaml;
use objects::{Object, Objects};

/// Carries Envoy AI Gateway's resources over, in `v1alpha1` or `v1beta1`.
///
/// # Errors
/// When the file cannot be read, is no YAML, or holds none of these resources.
pub fn envoy_ai_gateway(path: &Path) -> Result<Imported, Vec<Problem>> {
    let main: Rc<str> = path.display().to_string().into();
    let objects = Objects::read(path, &main)?;
    let mut import = Import {
        draft: Draft::new(),
        secrets: Vec::new(),
    };
    for object in objects.strangers() {
        let (why, instead) = hints::HINTS.of(&object.kind);
        import.draft.report.lost(&object.root, why, instead);
    }
    gateway::carry(&mut import, &objects);
    let backends = backend::carry(&mut import, &objects);
    let policies = traffic::read(&mut import, &objects);
    route::carry(&mut import, &objects, &backends, &policies);
    import.secrets_of(&objects);
    for object in objects.all() {
        import.draft.sweep(&object.root, &hints::HINTS);
    }
    import.draft.block("identity", |identity| {
        identity.set("anonymous", Yaml::text("deny"));
    });
    import.draft.blocks.note(
        "identity",
        "Callers need a key of Pointsman: pointsman key create --name NAME",
    );
    Ok(import.draft.finish(&main, "Envoy AI Gateway"))
}

/// A key of a Secret, and the variable that takes its place.
struct SecretKey {
    namespace: String,
    name: String,
    key: String,
    variable: String,
}

struct Import {
    draft: Draft,
    secrets: Vec<SecretKey>,
}

impl Import {
    /// A variable in place of a key of a Secret that `reference` names.
    fn secret(&mut self, reference: &Item, namespace: &str, key: &str) -> Option<Yaml> {
        let name = reference.get("name")?.text()?.to_owned();
        let namespace = reference
            .get("namespace")
            .and_then(Item::text)
            .unwrap_or(namespace);
        for field in ["kind", "group"] {
            reference.get(field).map(Item::text);
        }
        let known = self
            .secrets
            .iter()
            .find(|one| one.namespace == namespace && one.name == name && one.key == key);
        if let Some(known) = known {
            return Some(Yaml::variable(&known.variable));
        }
        let wish = if key == "apiKey" {
            name.clone()
        } else {
            format!("{name}-{key}")
        };
        let (variable, value) = self.draft.variables.fresh(&wish);
        self.draft.report.tell(
            reference,
            crate::report::Fate::Secret,
            "what a Secret holds is not copied",
            format!("set {variable} to what {key:?} of the Secret {name:?} holds"),
        );
        self.secrets.push(SecretKey {
            namespace: namespace.to_owned(),
            name,
            key: key.to_owned(),
            variable,
        });
        Some(value)
    }

    /// The Secrets themselves: those that somebody names are told where they are named.
    fn secrets_of(&mut self, objects: &Objects) {
        for object in objects.of("Secret") {
            let named = self
                .secrets
                .iter()
                .any(|one| one.namespace == object.namespace && one.name == object.name);
            let instead = if named {
                "set the variables that take its place"
            } else {
                "nothing that was carried over names it"
            };
            self.draft.report.tell(
                &object.root,
                crate::report::Fate::Secret,
                "what a Secret holds is not copied",
                instead,
            );
        }
    }

    /// Tells of a reference to something that is not in the file.
    fn missing(&mut self, item: &Item, what: &str) {
        self.draft.report.lost(
            item,
            format!("there is no such {what} in the file"),
            format!("add the {what} to the file and import again"),
        );
    }
}

/// Whether a policy's references name an object.
fn names(object: &Object, policy: &Object, kinds: &[&str]) -> bool {
    references(policy).iter().any(|reference| {
        let field = |name: &str| reference.get(name).and_then(Item::text);
        let namespace = field("namespace").unwrap_or(&policy.namespace);
        field("group");
        field("kind").is_some_and(|kind| kinds.contains(&kind))
            && field("name") == Some(object.name.as_str())
            && namespace == object.namespace
    })
}

/// What a policy is for.
fn references(policy: &Object) -> Vec<&Item> {
    let spec = &policy.root;
    let many = spec
        .at_path(&["spec", "targetRefs"])
        .map(Item::items)
        .unwrap_or_default();
    let one = spec.at_path(&["spec", "targetRef"]);
    many.iter().chain(one).collect()
}
