//! HTTP proxies: which requests go through one, and how.

mod bypass;
mod tunnel;

pub(crate) use tunnel::open as open_tunnel;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::config::{ConfigError, ProxyConfig};
use crate::endpoint::Origin;
use bypass::Bypass;

/// The proxies in force.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    https: Option<Proxy>,
    http: Option<Proxy>,
    bypass: Bypass,
}

/// One HTTP proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    host: String,
    port: u16,
    /// Value of `Proxy-Authorization`, marked as sensitive.
    authorization: Option<HeaderValue>,
}

impl Proxies {
    /// Compiles the configuration. `environment` looks up a variable; it is asked only where the configuration says
    /// so and names no proxy itself.
    ///
    /// # Errors
    ///
    /// When a proxy's URL is not `http://[user:password@]host[:port]`.
    pub fn compile(
        config: &ProxyConfig,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        if let Some(url) = &config.url {
            let proxy = Proxy::parse(url.expose(), "upstream.proxy.url")?;
            let bypass = Bypass::new(&config.no_proxy, false);
            return Ok(Self {
                https: Some(proxy.clone()),
                http: Some(proxy),
                bypass,
            });
        }
        if !config.from_environment {
            return Ok(Self::default());
        }
        let variable = |name: &str| {
            environment(name)
                .or_else(|| environment(&name.to_ascii_lowercase()))
                .filter(|value| !value.trim().is_empty())
        };
        let named = |name: &str| -> Result<Option<Proxy>, ConfigError> {
            let set = [name, "ALL_PROXY"]
                .into_iter()
                .find_map(|name| Some((name, variable(name)?)));
            set.map(|(name, url)| Proxy::parse(&url, name)).transpose()
        };
        let exceptions: Vec<String> = variable("NO_PROXY")
            .iter()
            .flat_map(|list| list.split(','))
            .map(str::to_owned)
            .collect();
        Ok(Self {
            https: named("HTTPS_PROXY")?,
            http: named("HTTP_PROXY")?,
            bypass: Bypass::new(&exceptions, true),
        })
    }

    /// The proxy that an origin is reached through.
    pub(crate) fn for_origin(&self, origin: &Origin) -> Option<&Proxy> {
        if bypass::is_metadata_service(origin.host()) {
            return None;
        }
        let proxy = if origin.is_tls() { &self.https } else { &self.http };
        proxy
            .as_ref()
            .filter(|_| !self.bypass.matches(origin.host(), origin.port()))
    }
}

impl Proxy {
    fn parse(text: &str, field: &str) -> Result<Self, ConfigError> {
        // The text is not repeated in errors: it may hold a password.
        let wrong = |problem: &str| ConfigError::new(field, problem);
        let shape = "must be a URL such as http://user:password@proxy.example.com:3128";
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("http://{text}"))
        };
        let url = url.map_err(|_| wrong(shape))?;
        if url.scheme() != "http" {
            return Err(ConfigError::unsupported(
                field,
                &format!("a proxy spoken to by `{}`", url.scheme()),
            ));
        }
        let host = url.host_str().ok_or_else(|| wrong(shape))?;
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port_or_known_default().unwrap_or(80),
            authorization: basic(&url).transpose().map_err(|()| wrong(shape))?,
        })
    }

    /// Name or address, an IPv6 address without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

/// Basic authentication (RFC 7617) with the user and password of a URL.
fn basic(url: &Url) -> Option<Result<HeaderValue, ()>> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut plain = percent_decode_str(url.username()).collect::<Vec<u8>>();
    plain.push(b':');
    plain.extend(percent_decode_str(url.password().unwrap_or_default()));
    let value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(plain)));
    Some(value.map_err(|_| ()).map(|mut value| {
        value.set_sensitive(true);
        value
    }))
}

#[cfg(test)]
mod tests;
