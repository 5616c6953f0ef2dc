//! `AIServiceBackend` with its `Backend`, as a provider.

use super::objects::{Object, Objects};
use super::security::{self, Security};
use super::{Import, mutation, names};
use crate::source::Item;
use crate::yaml::{Map, Yaml};

/// A backend, and the provider it became.
pub(super) struct Provider {
    pub(super) namespace: String,
    pub(super) backend: String,
    /// Its name in the result.
    pub(super) name: String,
}

/// A server.
struct Server {
    tls: bool,
    host: String,
    port: u64,
}

impl Server {
    fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let usual = if self.tls { 443 } else { 80 };
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == usual {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", self.port)
        }
    }
}

/// Carries all backends over.
pub(super) fn carry(import: &mut Import, objects: &Objects) -> Vec<Provider> {
    let mut providers = Vec::new();
    for object in objects.of("AIServiceBackend") {
        let security = security_of(import, objects, object);
        let Some(servers) = servers(import, objects, object) else {
            continue;
        };
        let Some(mut block) = provider(import, object, &servers, &security) else {
            continue;
        };
        block.put_map("auth", security.auth);
        if let Some(spec) = object.root.get("spec") {
            block.put_map("request", mutation::request(import, spec));
        }
        let note = format!("{} (line {})", object.root.path, object.root.line);
        let name = import.draft.provider(&object.name, block, note);
        providers.push(Provider {
            namespace: object.namespace.clone(),
            backend: object.name.clone(),
            name,
        });
    }
    providers
}

/// The policy of a backend: one that names it, or, in older versions, the one that it names.
fn security_of(import: &mut Import, objects: &Objects, object: &Object) -> Security {
    let reference = object.spec(&["backendSecurityPolicyRef"]);
    let named = reference.and_then(|reference| {
        for field in ["kind", "group"] {
            reference.get(field).map(Item::text);
        }
        reference.get("name")?.text()
    });
    let mut policies = objects.of("BackendSecurityPolicy").filter(|policy| {
        (policy.namespace == object.namespace && named == Some(policy.name.as_str()))
            || names(object, policy, &["AIServiceBackend"])
    });
    let first = policies.next();
    if let (Some(reference), None) = (reference, first) {
        import.missing(reference, "BackendSecurityPolicy");
    }
    first
        .map(|policy| security::read(import, policy))
        .unwrap_or_default()
}

/// Where a backend is; told when that is not in the file.
fn servers(import: &mut Import, objects: &Objects, object: &Object) -> Option<Vec<Server>> {
    let reference = object.spec(&["backendRef"])?;
    let field = |name: &str| reference.get(name).and_then(Item::text);
    let name = field("name")?;
    let namespace = field("namespace").unwrap_or(&object.namespace);
    field("group");
    let port = reference.get("port").and_then(Item::whole);
    if field("kind").unwrap_or("Service") == "Service" {
        let port = port.unwrap_or(80);
        return Some(vec![Server {
            tls: port == 443,
            host: format!("{name}.{namespace}.svc.cluster.local"),
            port,
        }]);
    }
    let Some(backend) = objects.find("Backend", namespace, name) else {
        import.missing(&object.root, "Backend");
        return None;
    };
    let policy = objects
        .of("BackendTLSPolicy")
        .find(|policy| names(backend, policy, &["Backend"]));
    if let Some(policy) = policy {
        tls(import, policy, backend);
    }
    let tls = policy.is_some() || backend.spec(&["tls"]).is_some();
    let endpoints = backend.spec(&["endpoints"]).map(Item::items).unwrap_or_default();
    let servers: Vec<Server> = endpoints
        .iter()
        .filter_map(|endpoint| {
            let (place, host) = [("fqdn", "hostname"), ("ip", "address")]
                .into_iter()
                .find_map(|(sort, host)| Some((endpoint.get(sort)?, host)))?;
            let host = place.get(host)?.text()?.to_owned();
            let port = place.get("port").and_then(Item::whole).unwrap_or(443);
            Some(Server {
                tls: tls || port == 443,
                host,
                port,
            })
        })
        .collect();
    if servers.is_empty() {
        import.draft.report.lost(
            &object.root,
            "its Backend has no endpoint with a host name or an address",
            "add the provider by hand, with its base_url",
        );
        return None;
    }
    Some(servers)
}

/// The roots that are built in are those of the system; others are told. The name that is verified is the host's.
fn tls(import: &mut Import, policy: &Object, backend: &Object) {
    if let Some(system) = policy.spec(&["validation", "wellKnownCACertificates"])
        && system.peek() == Some("System")
    {
        system.accept();
    }
    let Some(hostname) = policy.spec(&["validation", "hostname"]) else {
        return;
    };
    let mut hosts = Vec::new();
    if let Some(endpoints) = backend.spec(&["endpoints"]) {
        endpoints.texts(&mut hosts);
    }
    if hosts.contains(&hostname.peek().unwrap_or_default()) {
        hostname.accept();
    } else {
        import.draft.report.lost(
            hostname,
            "a certificate must be for the host that is called",
            "name the server by this host, and let its name lead to the address",
        );
    }
}

/// The block of a provider, but for its credential; told when its schema is not known.
fn provider(import: &mut Import, object: &Object, servers: &[Server], security: &Security) -> Option<Map> {
    let schema = object.spec(&["schema", "name"]);
    let version = object.spec(&["schema", "version"]);
    let mut block = Map::default();
    match schema.and_then(Item::peek).unwrap_or_default() {
        "OpenAI" => compatible(object, servers, &mut block, "openai-chat"),
        "Anthropic" => compatible(object, servers, &mut block, "anthropic-messages"),
        "Cohere" => {
            block.set("kind", Yaml::text("cohere"));
            place(servers, &mut block, "", |server| server.host == "api.cohere.com");
        }
        "AzureOpenAI" => {
            block.set("kind", Yaml::text("azure-openai"));
            place(servers, &mut block, "", |_| false);
            block.put("api_version", version.and_then(Item::text).map(Yaml::text));
        }
        "AWSBedrock" | "AWSAnthropic" => {
            bedrock(servers, &mut block, security);
            if let Some(schema) = schema.filter(|schema| schema.peek() == Some("AWSAnthropic")) {
                import.draft.report.nearest(
                    schema,
                    "Bedrock is spoken to by Converse, whoever made the model",
                    "",
                );
            }
        }
        "GCPVertexAI" | "GCPAnthropic" => {
            block.set("kind", Yaml::text("gcp-vertex"));
            for (name, value, variable) in [
                ("project", &security.project, "VERTEXAI_PROJECT"),
                ("location", &security.location, "VERTEXAI_LOCATION"),
            ] {
                let value = value.clone();
                let value = value.unwrap_or_else(|| import.draft.variables.known(variable));
                block.set(name, value);
            }
            place(servers, &mut block, "", |server| {
                server.host.ends_with("aiplatform.googleapis.com")
            });
        }
        other => {
            import.draft.report.lost(
                &object.root,
                format!("there is no schema {other:?} in this version"),
                "if it understands OpenAI's schema, say so and import again",
            );
            return None;
        }
    }
    schema.map(Item::text);
    Some(block)
}

/// Where the servers are, unless all are where the catalog says.
fn place(servers: &[Server], block: &mut Map, path: &str, known: impl Fn(&Server) -> bool) {
    if servers.iter().all(known) {
        return;
    }
    if let [only] = servers {
        block.set("base_url", Yaml::text(only.url() + path));
        return;
    }
    for server in servers {
        let mut endpoint = Map::default();
        endpoint.set("url", Yaml::text(server.url() + path));
        block.push("endpoints", Yaml::Map(endpoint));
    }
}

/// A server with OpenAI's or Anthropic's API: a provider of the catalog when it is where the catalog has one.
fn compatible(object: &Object, servers: &[Server], block: &mut Map, format: &str) {
    let prefix = object.spec(&["schema", "prefix"]).and_then(Item::text);
    // In v1alpha1 the version was the prefix.
    let version = object
        .spec(&["schema", "version"])
        .filter(|_| object.version == "v1alpha1");
    let prefix = prefix.or_else(|| version.and_then(Item::text)).unwrap_or("v1");
    let prefix = prefix.trim_matches('/');
    let path = if prefix.is_empty() {
        String::new()
    } else {
        format!("/{prefix}")
    };
    let end = if format == "openai-chat" {
        "/chat/completions"
    } else {
        "/messages"
    };
    let catalog = pointsman_catalog::Catalog::embedded();
    let known = match servers {
        [only] => {
            let whole = only.url() + &path + end;
            catalog.providers().find(|provider| {
                let at = provider.fixed_url().zip(provider.formats.get(format));
                at.is_some_and(|(base, path)| whole == format!("{base}{path}"))
            })
        }
        _ => None,
    };
    match known {
        Some(provider) => block.set("kind", Yaml::text(&provider.id)),
        None if format == "openai-chat" => {
            block.set("kind", Yaml::text("openai-compatible"));
            place(servers, block, &path, |_| false);
        }
        None => {
            block.set("kind", Yaml::text("anthropic-compatible"));
            // The catalog's paths begin with the version.
            let path = path.strip_suffix("/v1").unwrap_or(&path).to_owned();
            place(servers, block, &path, |_| false);
        }
    }
}

fn bedrock(servers: &[Server], block: &mut Map, security: &Security) {
    block.set("kind", Yaml::text("aws-bedrock"));
    let of_host = |server: &Server| {
        let rest = server.host.strip_prefix("bedrock-runtime.")?;
        Some(rest.strip_suffix(".amazonaws.com")?.to_owned())
    };
    let region = security
        .region
        .clone()
        .or_else(|| servers.first().and_then(of_host).map(Yaml::text));
    let usual = |server: &Server| of_host(server).map(Yaml::text) == region;
    place(servers, block, "", usual);
    block.put("region", region);
}
