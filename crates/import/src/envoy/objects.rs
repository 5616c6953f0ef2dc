//! Resources of Kubernetes, by kind and name.

use std::path::Path;
use std::rc::Rc;

use pointsman_config::{Node, Problem, Value};

use crate::source::{self, Item};

/// Kinds that are carried over, with their groups.
const KINDS: [(&str, &str); 10] = [
    ("AIGatewayRoute", "aigateway.envoyproxy.io"),
    ("AIServiceBackend", "aigateway.envoyproxy.io"),
    ("BackendSecurityPolicy", "aigateway.envoyproxy.io"),
    ("GatewayConfig", "aigateway.envoyproxy.io"),
    ("Backend", "gateway.envoyproxy.io"),
    ("BackendTrafficPolicy", "gateway.envoyproxy.io"),
    ("ClientTrafficPolicy", "gateway.envoyproxy.io"),
    ("BackendTLSPolicy", "gateway.networking.k8s.io"),
    ("Gateway", "gateway.networking.k8s.io"),
    ("Secret", ""),
];

/// A resource.
pub(super) struct Object {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: String,
    /// The version of its API, such as `v1beta1`.
    pub(super) version: String,
    pub(super) root: Item,
    known: bool,
}

impl Object {
    fn new(node: Node, file: &Rc<str>) -> Self {
        let text = |path: &[&str]| {
            let mut at = &node;
            for key in path {
                at = field(at, key)?;
            }
            match &at.value {
                Value::Text { text, .. } => Some(text.clone()),
                _ => None,
            }
        };
        let kind = text(&["kind"]).unwrap_or_default();
        let name = text(&["metadata", "name"]).unwrap_or_default();
        let namespace = text(&["metadata", "namespace"]).unwrap_or_else(|| "default".to_owned());
        let api = text(&["apiVersion"]).unwrap_or_default();
        let (group, version) = api.split_once('/').unwrap_or(("", &api));
        let known = KINDS.contains(&(kind.as_str(), group));
        let path = if kind.is_empty() {
            "document".to_owned()
        } else {
            format!("{kind}/{name}")
        };
        let shape = if kind.is_empty() { "document" } else { &kind };
        let root = Item::new(node, file, &path, shape);
        for path in [
            &["kind"][..],
            &["apiVersion"],
            &["metadata", "name"],
            &["metadata", "namespace"],
        ] {
            if known {
                root.at_path(path).map(Item::text);
            }
        }
        Self {
            version: version.to_owned(),
            kind,
            name,
            namespace,
            root,
            known,
        }
    }

    /// A value under `spec`.
    pub(super) fn spec(&self, path: &[&str]) -> Option<&Item> {
        self.root.get("spec")?.at_path(path)
    }
}

fn field<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    match &node.value {
        Value::Map(entries) => entries
            .iter()
            .find(|(name, ..)| name == key)
            .map(|(.., node)| node),
        _ => None,
    }
}

/// All resources of a file.
pub(super) struct Objects {
    all: Vec<Object>,
}

impl Objects {
    pub(super) fn read(path: &Path, file: &Rc<str>) -> Result<Self, Vec<Problem>> {
        let mut all = Vec::new();
        for node in source::read(path)? {
            for node in listed(node) {
                all.push(Object::new(node, file));
            }
        }
        let ours = |object: &Object| object.known && object.kind.starts_with("AI");
        if !all.iter().any(ours) {
            return Err(vec![Problem {
                file: file.to_string(),
                line: 1,
                column: 1,
                path: String::new(),
                message: "there is no AIGatewayRoute or AIServiceBackend in it".to_owned(),
                suggestion: None,
            }]);
        }
        Ok(Self { all })
    }

    pub(super) fn all(&self) -> &[Object] {
        &self.all
    }

    /// Resources of a kind.
    pub(super) fn of(&self, kind: &str) -> impl Iterator<Item = &Object> {
        self.all
            .iter()
            .filter(move |object| object.known && object.kind == kind)
    }

    /// A resource by its name.
    pub(super) fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&Object> {
        self.of(kind)
            .find(|object| object.name == name && object.namespace == namespace)
    }

    /// Resources of kinds that are not carried over.
    pub(super) fn strangers(&self) -> impl Iterator<Item = &Object> {
        self.all.iter().filter(|object| !object.known)
    }
}

/// The resources of a `List`, or the resource itself.
fn listed(node: Node) -> Vec<Node> {
    let is_list = matches!(
        field(&node, "kind").map(|kind| &kind.value),
        Some(Value::Text { text, .. }) if text == "List"
    );
    if !is_list {
        return vec![node];
    }
    let Value::Map(entries) = node.value else {
        return Vec::new();
    };
    let mut rest = Vec::new();
    let mut items = Vec::new();
    for (key, place, value) in entries {
        match (key.as_str(), value.value) {
            ("items", Value::List(all)) => items = all,
            ("kind" | "apiVersion", _) => {}
            (_, value) => rest.push((key, place, Node { place, value })),
        }
    }
    if !rest.is_empty() {
        // What else the list says is nobody's: it is told.
        items.push(Node {
            place: node.place,
            value: Value::Map(rest),
        });
    }
    items
}
