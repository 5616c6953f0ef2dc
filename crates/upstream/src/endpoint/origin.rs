//! Base URLs: where connections go, and what requests say of it.

use std::net::IpAddr;

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
    /// Whether it may have an address of the link itself.
    link_local: bool,
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

    /// Whether connections may go to this address.
    #[must_use]
    pub fn may_have(&self, address: IpAddr) -> bool {
        self.link_local || !is_of_link(address)
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

/// Whether an address is one of the link itself, or one of those at which clouds have their metadata services.
pub(crate) fn is_of_link(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            // Azure's and Oracle's, and Alibaba's, are elsewhere.
            let elsewhere = [[168, 63, 129, 16], [192, 0, 0, 192], [100, 100, 100, 200]];
            address.is_link_local() || elsewhere.contains(&address.octets())
        }
        IpAddr::V6(address) => {
            let part = address.segments();
            // Amazon's and Google's are addresses of their own.
            part[0] & 0xffc0 == 0xfe80 || part[..2] == [0xfd00, 0xec2] || part[..2] == [0xfd20, 0xce]
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
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        _ => None,
    };
    if !config.link_local && address.is_some_and(is_of_link) {
        return Err(wrong(format!(
            "`{host}` is an address of the link itself, where clouds' metadata services tell credentials to whoever asks; an endpoint with `link_local: true` may have it"
        )));
    }
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
            link_local: config.link_local,
            client_certificate: config.client_certificate.clone(),
        },
        prefix: url.path().trim_end_matches('/').to_owned(),
        authority,
        host_header,
    })
}
