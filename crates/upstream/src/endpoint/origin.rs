//! Base URLs: where connections go, and what requests say of it.

use http::HeaderValue;
use http::uri::Authority;
use url::{Host, Url};

use crate::config::{ClientCertificateConfig, ConfigError, EndpointConfig, HttpVersion};

/// Where connections go and what is spoken there. Connections of the same origin are interchangeable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    tls: bool,
    host: String,
    port: u16,
    http: HttpVersion,
    /// Connections that prove another identity are not interchangeable.
    client_certificate: Option<ClientCertificateConfig>,
}

impl Origin {
    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Name or address, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's own if the URL names none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// HTTP version to speak.
    #[must_use]
    pub fn http(&self) -> HttpVersion {
        self.http
    }

    /// The same, spoken to in HTTP/1.1 only.
    pub(crate) fn over_http1(&self) -> Self {
        Self {
            http: HttpVersion::Http1,
            ..self.clone()
        }
    }

    /// The certificate that proves to the server who we are.
    #[must_use]
    pub fn client_certificate(&self) -> Option<&ClientCertificateConfig> {
        self.client_certificate.as_ref()
    }

    /// `host:port`, an IPv6 address in brackets.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// The parts of a base URL that requests need.
pub(super) struct Base {
    pub(super) origin: Origin,
    pub(super) prefix: String,
    pub(super) authority: Authority,
    pub(super) host_header: HeaderValue,
}

/// Takes a base URL apart.
pub(super) fn parse(config: &EndpointConfig) -> Result<Base, ConfigError> {
    let wrong = |problem: String| ConfigError::new("url", problem);
    let url = Url::parse(&config.url).map_err(|error| wrong(format!("`{}`: {error}", config.url)))?;
    let tls = match url.scheme() {
        "https" => true,
        "http" => false,
        other => return Err(wrong(format!("scheme `{other}` is not one of http, https"))),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "must not hold a user name or password; use `auth`".to_owned(),
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("must not hold a query or fragment".to_owned()));
    }
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return Err(wrong("names no host".to_owned())),
    };
    let shown = url[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
    let authority: Authority = shown
        .parse()
        .map_err(|_| wrong(format!("`{shown}` is not a valid host and port")))?;
    let host_header = HeaderValue::from_str(&shown)
        .map_err(|_| wrong(format!("`{shown}` is not a valid host and port")))?;
    Ok(Base {
        origin: Origin {
            tls,
            host,
            port: url.port_or_known_default().unwrap_or(0),
            http: config.http,
            client_certificate: config.client_certificate.clone(),
        },
        prefix: url.path().trim_end_matches('/').to_owned(),
        authority,
        host_header,
    })
}
