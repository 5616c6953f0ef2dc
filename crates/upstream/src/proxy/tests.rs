//! Which proxy for whom.

use std::collections::HashMap;

use super::*;
use crate::config::{EndpointConfig, HealthConfig, Secret};
use crate::endpoint::Endpoint;

fn from_environment(variables: &[(&str, &str)]) -> Result<Proxies, ConfigError> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    Proxies::compile(&ProxyConfig::default(), |name| {
        variables.get(name).map(|value| (*value).to_owned())
    })
}

fn proxy_for(proxies: &Proxies, url: &str) -> Option<String> {
    let config = EndpointConfig {
        link_local: true,
        ..EndpointConfig::new(url)
    };
    let endpoint = Endpoint::new(&config, &HealthConfig::default()).unwrap();
    proxies
        .for_origin(endpoint.origin())
        .map(|proxy| format!("{}:{}", proxy.host(), proxy.port()))
}

#[test]
fn obeys_the_environment() {
    let proxies = from_environment(&[
        ("HTTPS_PROXY", "http://secure.example:3128"),
        ("http_proxy", "plain.example:8080"),
        ("NO_PROXY", "internal.example, 10.0.0.0/8"),
    ])
    .unwrap();
    for (url, proxy) in [
        ("https://api.example.com", Some("secure.example:3128")),
        ("http://api.example.com", Some("plain.example:8080")),
        ("https://x.internal.example", None),
        ("http://10.1.2.3", None),
        ("http://127.0.0.1:8000", None),
        ("http://localhost:8000", None),
        ("https://[::1]", None),
    ] {
        assert_eq!(proxy_for(&proxies, url).as_deref(), proxy, "{url}");
    }
}

#[test]
fn all_proxy_fills_the_gaps() {
    let proxies = from_environment(&[
        ("ALL_PROXY", "http://all.example"),
        ("HTTP_PROXY", "http://p.example"),
    ])
    .unwrap();
    assert_eq!(
        proxy_for(&proxies, "https://a.example").as_deref(),
        Some("all.example:80")
    );
    assert_eq!(
        proxy_for(&proxies, "http://a.example").as_deref(),
        Some("p.example:80")
    );
    let none = from_environment(&[("HTTPS_PROXY", " ")]).unwrap();
    assert_eq!(proxy_for(&none, "https://a.example"), None);
}

#[test]
fn the_configuration_goes_before_the_environment() {
    let config = ProxyConfig {
        url: Some(Secret::from("http://user:p%40ss@[::1]:3128")),
        no_proxy: vec!["direct.example".to_owned()],
        from_environment: true,
    };
    let proxies = Proxies::compile(&config, |_| Some("http://ignored.example".to_owned())).unwrap();
    assert_eq!(
        proxy_for(&proxies, "https://a.example").as_deref(),
        Some("::1:3128")
    );
    assert_eq!(
        proxy_for(&proxies, "http://127.0.0.1").as_deref(),
        Some("::1:3128"),
        "explicit: loopback too"
    );
    assert_eq!(proxy_for(&proxies, "https://direct.example"), None);
    let authorization = proxies.https.as_ref().unwrap().authorization().unwrap();
    assert_eq!(authorization, "Basic dXNlcjpwQHNz");
    assert!(!format!("{proxies:?} {config:?}").contains("dXNlcjpwQHNz"));
    let off = ProxyConfig {
        from_environment: false,
        ..ProxyConfig::default()
    };
    let off = Proxies::compile(&off, |_| Some("http://ignored.example".to_owned())).unwrap();
    assert_eq!(proxy_for(&off, "https://a.example"), None);
}

#[test]
fn refuses_proxies_it_cannot_speak_to() {
    for (url, says) in [
        (
            "socks5://p.example",
            "a proxy spoken to by `socks5` is not supported yet in this version",
        ),
        (
            "https://p.example",
            "a proxy spoken to by `https` is not supported yet in this version",
        ),
        (
            "http://",
            "must be a URL such as http://user:password@proxy.example.com:3128",
        ),
        (
            "http://user:hunter2@",
            "must be a URL such as http://user:password@proxy.example.com:3128",
        ),
    ] {
        let error = from_environment(&[("ALL_PROXY", url)]).unwrap_err();
        assert_eq!(
            (error.field.as_str(), error.problem.as_str()),
            ("ALL_PROXY", says),
            "{url}"
        );
    }
}

#[test]
fn services_that_tell_a_machine_who_it_is_are_asked_directly() {
    let config = ProxyConfig {
        url: Some(Secret::from("http://proxy.example:3128")),
        ..ProxyConfig::default()
    };
    let configured = Proxies::compile(&config, |_| None).unwrap();
    let environment = from_environment(&[("ALL_PROXY", "http://proxy.example:3128")]).unwrap();
    for proxies in [configured, environment] {
        for (url, direct) in [
            ("http://169.254.169.254", true),
            ("http://169.254.170.2", true),
            ("http://[fd00:ec2::254]", true),
            ("http://metadata.google.internal", true),
            ("http://169.253.169.254", false),
            ("http://[fd00:ec3::254]", false),
            ("https://sts.eu-west-1.amazonaws.com", false),
        ] {
            assert_eq!(proxy_for(&proxies, url).is_none(), direct, "{url}");
        }
    }
}
