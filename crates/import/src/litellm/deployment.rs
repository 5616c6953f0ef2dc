//! One entry of `model_list`: a target.

use super::Import;
use super::params::Params;
use crate::source::Item;
use crate::variables::{is_secret_name, variable_name};
use crate::yaml::{Map, Yaml};

/// An entry of `model_list`.
pub(super) struct Deployment<'a> {
    pub(super) item: &'a Item,
    /// The name clients ask for.
    pub(super) name: &'a str,
    pub(super) params: Params<'a>,
    pub(super) info: Option<&'a Item>,
}

/// Parameters of requests that a target can have values for.
const PARAMETERS: [&str; 13] = [
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "n",
    "reasoning_effort",
    "parallel_tool_calls",
    "user",
    "service_tier",
];

impl<'a> Deployment<'a> {
    /// Reads an entry; told when it is none.
    pub(super) fn read(import: &mut Import, item: &'a Item, credentials: &[&'a Item]) -> Option<Self> {
        let name = item.get("model_name").and_then(Item::text);
        let own = item
            .get("litellm_params")
            .filter(|own| own.get("model").is_some());
        let (Some(name), Some(own)) = (name, own) else {
            import.draft.report.lost(
                item,
                "it has no model_name, or no litellm_params.model",
                "complete it and import again",
            );
            return None;
        };
        let named = own.get("litellm_credential_name");
        let credential = named.and_then(|named| {
            let wanted = named.text()?;
            credentials
                .iter()
                .find(|one| one.get("credential_name").and_then(Item::text) == Some(wanted))?
                .get("credential_values")
        });
        if let (Some(named), None) = (named, credential) {
            import.draft.report.lost(
                named,
                "there is no credential of this name in credential_list",
                "give the provider its credential under providers.NAME.auth",
            );
        }
        Some(Self {
            item,
            name,
            params: Params { own, credential },
            info: item.get("model_info"),
        })
    }

    /// The block `request` of its target.
    pub(super) fn request(&self, import: &mut Import) -> Map {
        let mut request = Map::default();
        let headers = self.headers(import);
        if !headers.is_empty() {
            request.update("headers", |all| all.set("set", Yaml::Map(headers)));
        }
        if let Some(extra) = self.params.get("extra_body") {
            let mut body = Map::default();
            for (key, value) in extra.entries() {
                let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
                body.set(&pointer, open(import, key, value));
            }
            if !body.is_empty() {
                request.update("body", |all| all.set("default", Yaml::Map(body)));
            }
        }
        self.dropped(import, &mut request);
        let mut defaults = Map::default();
        for (key, value) in self.params.own.entries() {
            let key = match key.as_str() {
                "max_completion_tokens" => "max_tokens",
                other => other,
            };
            if PARAMETERS.contains(&key) && !value.is_nothing() {
                defaults.set(key, Yaml::json(&value.json()));
            }
        }
        if !defaults.is_empty() {
            request.update("parameters", |all| all.set("default", Yaml::Map(defaults)));
        }
        match self.params.get("drop_params").and_then(Item::flag) {
            Some(true) => request.set("unsupported_params", Yaml::text("drop")),
            Some(false) if import.policy.drop_params => {
                request.set("unsupported_params", Yaml::text("map"));
            }
            _ => {}
        }
        request
    }

    fn headers(&self, import: &mut Import) -> Map {
        let mut headers = Map::default();
        for (name, value) in self
            .params
            .get("extra_headers")
            .map(Item::entries)
            .unwrap_or_default()
        {
            let value = if is_secret_name(name) {
                import.secret(value, &variable_name(name))
            } else {
                import.setting(value)
            };
            headers.put(name, value);
        }
        headers
    }

    fn dropped(&self, import: &mut Import, request: &mut Map) {
        let Some(list) = self.params.get("additional_drop_params") else {
            return;
        };
        for item in list.items() {
            match item.peek() {
                Some(name) if PARAMETERS.contains(&name) => {
                    item.accept();
                    request.update("parameters", |all| all.push("drop", Yaml::text(name)));
                }
                Some(name)
                    if name
                        .bytes()
                        .all(|letter| letter.is_ascii_alphanumeric() || letter == b'_') =>
                {
                    item.accept();
                    request.update("body", |all| all.push("remove", Yaml::text(format!("/{name}"))));
                }
                _ => import.draft.report.lost(
                    item,
                    "only whole fields of the body are removed",
                    "name the place as a JSON pointer under request.body.remove",
                ),
            }
        }
    }

    /// The block `timeouts` of its target.
    pub(super) fn timeouts(&self, import: &mut Import) -> Map {
        let own = self.params.get("timeout").and_then(Item::seconds);
        let own_stream = self.params.get("stream_timeout");
        if let Some(item) = own_stream {
            tell_stream_timeout(import, item);
        }
        let own_stream = own_stream.and_then(Item::seconds);
        if own.is_none() && own_stream.is_none() {
            return Map::default();
        }
        let policy = &import.policy;
        timeouts(
            own.or_else(|| policy.timeout.clone()),
            own_stream.or_else(|| policy.stream_timeout.clone()),
        )
    }
}

/// A value of a body: variables and secrets stay what they are, however deep.
fn open(import: &mut Import, key: &str, value: &Item) -> Yaml {
    use crate::source::Content;
    match &value.content {
        Content::Map(entries) if !entries.is_empty() => {
            let mut map = Map::default();
            for (key, value) in entries {
                map.set(key, open(import, key, value));
            }
            Yaml::Map(map)
        }
        Content::List(items) if !items.is_empty() => Yaml::list(
            items
                .iter()
                .map(|item| open(import, key, item))
                .collect::<Vec<_>>(),
        ),
        Content::Scalar(_, true) if is_secret_name(key) => import
            .secret(value, &variable_name(key))
            .unwrap_or_else(|| Yaml::text("")),
        _ => import
            .variable(value)
            .unwrap_or_else(|| Yaml::json(&value.json())),
    }
}

/// LiteLLM's two timeouts as phases.
pub(super) fn timeouts(timeout: Option<String>, stream: Option<String>) -> Map {
    let mut map = Map::default();
    if let Some(timeout) = timeout {
        map.set("total", Yaml::text(&timeout));
        map.set("first_byte", Yaml::text(&timeout));
    }
    if let Some(stream) = stream {
        map.set("first_token", Yaml::text(&stream));
        map.set("between_chunks", Yaml::text(&stream));
    }
    map
}

pub(super) fn tell_stream_timeout(import: &mut Import, item: &Item) {
    if item.seconds().is_some() {
        import.draft.report.nearest(
            item,
            "it is how long a stream may take to its first token, and between two pieces",
            "",
        );
    }
}
