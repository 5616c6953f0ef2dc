//! Endpoints: URLs, health as it is reported, state across configurations.

use http::StatusCode;

use super::*;
use crate::config::{HttpVersion, HumanDuration};
use crate::error::Phase;

fn endpoint(url: &str) -> Arc<Endpoint> {
    Endpoint::new(&EndpointConfig::new(url), &HealthConfig::default()).unwrap()
}

fn served() -> Outcome {
    Outcome::Success {
        first_byte: Duration::from_millis(20),
    }
}

#[test]
fn joins_paths_to_the_base_url() {
    for (base, path, joined) in [
        ("https://api.example.com", "/v1/models", "/v1/models"),
        ("https://api.example.com/", "/v1/models?x=1", "/v1/models?x=1"),
        ("https://api.example.com/openai/v1", "/chat", "/openai/v1/chat"),
        (
            "https://api.example.com/openai/v1/",
            "/a%2Fb:do",
            "/openai/v1/a%2Fb:do",
        ),
        (
            "https://api.example.com",
            "/a/...b/.c?y=/../z",
            "/a/...b/.c?y=/../z",
        ),
    ] {
        assert_eq!(endpoint(base).uri(path).unwrap().to_string(), joined);
    }
}

#[test]
fn refuses_paths_that_would_leave_the_base_url() {
    let endpoint = endpoint("https://api.example.com/v1");
    for path in [
        "",
        "models",
        "//evil.example",
        "/../admin",
        "/a/..",
        "/a/./b",
        "/%2e%2E/admin",
        "/x%2f..%2fy",
        "/a\\..\\b",
        "/a b",
        "/\n",
    ] {
        assert_eq!(endpoint.uri(path), Err(InvalidPath), "{path:?}");
    }
}

#[test]
fn ssrf_metadata_services_are_no_endpoints_unless_that_is_said() {
    let made = |url: &str, link_local| {
        let config = EndpointConfig {
            link_local,
            ..EndpointConfig::new(url)
        };
        Endpoint::new(&config, &HealthConfig::default())
    };
    for url in [
        "http://169.254.169.254",
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.170.2",
        "http://[fe80::1]",
        "http://[fd00:ec2::254]",
        "http://[fd20:ce::254]",
        "http://[::ffff:169.254.169.254]",
        "http://168.63.129.16",
        "http://100.100.100.200",
        "http://192.0.0.192",
        // As other programs write the same.
        "http://2852039166",
        "http://0xa9fea9fe",
        "http://0251.0376.0251.0376",
        "http://169.254.43518",
    ] {
        let error = made(url, false).err().unwrap_or_else(|| panic!("{url}"));
        assert!(error.problem.contains("link_local"), "{url}: {}", error.problem);
        assert!(made(url, true).is_ok(), "{url}");
    }
    // Servers of one's own network are what gateways are for.
    for url in [
        "http://127.0.0.1:8000",
        "http://10.0.0.7",
        "http://192.168.1.2",
        "http://[fd12::1]",
        "http://[::1]",
    ] {
        assert!(made(url, false).is_ok(), "{url}");
    }
    // A name is looked at when it is connected to.
    let origin = endpoint("http://metadata.example").origin().clone();
    assert!(!origin.may_have("169.254.169.254".parse().unwrap()));
    assert!(origin.may_have("10.0.0.7".parse().unwrap()));
}

proptest::proptest! {
    #[test]
    fn any_path_stays_below_the_base_or_is_refused(path in "/?([a-z.]|%2[eEfF]|%5c|[/\\\\?]){0,20}") {
        let endpoint = endpoint("http://a.example/base");
        if let Ok(uri) = endpoint.uri(&path) {
            // As the most lenient server might read it: decoded, then normalized.
            let decoded = uri.path().to_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
            let normal = url::Url::parse(&format!("http://a.example{decoded}")).unwrap();
            proptest::prop_assert!(normal.path().starts_with("/base/"), "{} -> {}", uri, normal);
        }
    }
}

#[test]
fn takes_base_urls_apart() {
    for (url, host, port, authority, tls) in [
        (
            "https://api.example.com",
            "api.example.com",
            443,
            "api.example.com",
            true,
        ),
        (
            "https://api.example.com:8443/v1",
            "api.example.com",
            8443,
            "api.example.com:8443",
            true,
        ),
        ("http://10.0.0.1:8000", "10.0.0.1", 8000, "10.0.0.1:8000", false),
        ("http://[::1]:8000/", "::1", 8000, "[::1]:8000", false),
        ("http://Example.COM:80", "example.com", 80, "example.com", false),
    ] {
        let endpoint = endpoint(url);
        let origin = endpoint.origin();
        assert_eq!(
            (origin.host(), origin.port(), origin.is_tls()),
            (host, port, tls),
            "{url}"
        );
        assert_eq!(endpoint.authority().as_str(), authority);
    }
    assert_eq!(
        endpoint("http://[::1]:8000").origin().host_and_port(),
        "[::1]:8000"
    );
}

#[test]
fn refuses_urls_that_are_no_base() {
    for url in [
        "",
        "api.example.com",
        "ftp://x.example",
        "https://user:pw@x.example",
        "https://x.example?a=1",
        "https://",
    ] {
        let error = Endpoint::new(&EndpointConfig::new(url), &HealthConfig::default()).unwrap_err();
        assert_eq!(error.field, "url", "{url}");
        assert!(!error.problem.contains("pw"), "{error}");
    }
}

#[test]
fn counts_what_is_in_flight() {
    let endpoint = endpoint("http://a.example");
    let now = Instant::now();
    let first = endpoint.begin(now).unwrap();
    let second = endpoint.begin(now).unwrap();
    assert_eq!(endpoint.in_flight(), 2);
    drop((first, second));
    assert_eq!(endpoint.in_flight(), 0);
}

#[test]
fn a_429_rests_the_endpoint_without_opening_the_breaker() {
    let endpoint = endpoint("http://a.example");
    let now = Instant::now();
    for _ in 0..50 {
        let mut attempt = endpoint.begin(now).unwrap();
        attempt.record(
            Outcome::RateLimited {
                retry_after: Some(Duration::from_secs(7)),
            },
            now,
        );
    }
    assert_eq!(endpoint.breaker_state(now), BreakerState::Closed);
    assert!(!endpoint.available(now + Duration::from_secs(6)));
    assert!(endpoint.state().is_cooling_down(now));
    assert!(endpoint.available(now + Duration::from_secs(8)));
}

#[test]
fn a_429_without_a_wait_does_not_rest_and_a_wait_has_a_limit() {
    let endpoint = endpoint("http://a.example");
    let now = Instant::now();
    endpoint
        .begin(now)
        .unwrap()
        .record(Outcome::RateLimited { retry_after: None }, now);
    assert!(endpoint.available(now));
    let wait = Some(Duration::from_secs(1_000_000));
    endpoint
        .begin(now)
        .unwrap()
        .record(Outcome::RateLimited { retry_after: wait }, now);
    endpoint.begin(now).unwrap().record(
        Outcome::RateLimited {
            retry_after: Some(Duration::ZERO),
        },
        now,
    );
    assert!(!endpoint.available(now + Duration::from_secs(299)));
    assert!(endpoint.available(now + Duration::from_secs(301)));
}

#[test]
fn failures_open_the_breaker_and_refusals_do_not() {
    let now = Instant::now();
    let after = |failure: Failure| {
        let endpoint = endpoint("http://a.example");
        for _ in 0..5 {
            endpoint
                .begin(now)
                .unwrap()
                .record(Outcome::Failure(failure), now);
        }
        endpoint.breaker_state(now)
    };
    for failure in [
        Failure::Connect,
        Failure::Reset,
        Failure::Cut,
        Failure::Timeout(Phase::FirstByte),
        Failure::Status(StatusCode::BAD_GATEWAY),
    ] {
        assert_eq!(after(failure), BreakerState::Open, "{failure:?}");
    }
    for failure in [
        Failure::ContentFilter,
        Failure::Status(StatusCode::BAD_REQUEST),
        Failure::Status(StatusCode::UNAUTHORIZED),
        Failure::Status(StatusCode::TOO_MANY_REQUESTS),
    ] {
        assert_eq!(after(failure), BreakerState::Closed, "{failure:?}");
    }
}

#[test]
fn streams_that_always_break_open_the_breaker_although_they_begin_well() {
    let endpoint = endpoint("http://a.example");
    let now = Instant::now();
    for _ in 0..20 {
        let mut attempt = endpoint.begin(now).unwrap();
        attempt.record(served(), now);
        attempt.record(Outcome::Failure(Failure::Cut), now);
        attempt.record(Outcome::Failure(Failure::Cut), now);
    }
    assert!(endpoint.begin(now).is_none());
}

fn broken(now: Instant) -> Arc<Endpoint> {
    let endpoint = endpoint("http://a.example");
    for _ in 0..5 {
        endpoint
            .begin(now)
            .unwrap()
            .record(Outcome::Failure(Failure::Connect), now);
    }
    endpoint
}

#[test]
fn one_trial_decides_over_an_open_breaker() {
    let now = Instant::now();
    let endpoint = broken(now);
    assert!(!endpoint.available(now) && endpoint.begin(now).is_none());
    let later = now + Duration::from_secs(3);
    assert!(endpoint.available(later));
    let mut trial = endpoint.begin(later).unwrap();
    assert!(!endpoint.available(later) && endpoint.begin(later).is_none());
    trial.record(served(), later);
    assert!(endpoint.begin(later).is_some());
}

#[test]
fn a_dropped_trial_makes_room() {
    let now = Instant::now();
    let endpoint = broken(now.checked_sub(Duration::from_secs(60)).unwrap());
    let later = now + Duration::from_secs(3);
    drop(endpoint.begin(later).unwrap());
    assert!(endpoint.begin(later).is_some());
}

#[test]
fn measures_the_first_byte() {
    let endpoint = endpoint("http://a.example");
    let now = Instant::now();
    assert_eq!(endpoint.latency_us(now), None);
    endpoint.begin(now).unwrap().record(served(), now);
    assert_eq!(endpoint.latency_us(now), Some(20_000));
}

#[test]
fn the_registry_keeps_what_was_observed() {
    let registry = EndpointRegistry::default();
    let health = HealthConfig::default();
    let config = EndpointConfig::new("http://a.example");
    let first = registry.endpoint("p", &config, &health).unwrap();
    let same = registry.endpoint("p", &config, &health).unwrap();
    assert!(Arc::ptr_eq(&first, &same));

    let held = first.begin(Instant::now()).unwrap();
    let heavier = EndpointConfig {
        weight: 9,
        ..config.clone()
    };
    let changed = registry.endpoint("p", &heavier, &health).unwrap();
    assert_eq!((changed.weight(), changed.in_flight()), (9, 1));
    let stricter = HealthConfig {
        open_for: HumanDuration::from_secs(9),
        ..health
    };
    assert_eq!(
        registry.endpoint("p", &heavier, &stricter).unwrap().in_flight(),
        1
    );

    let health = HealthConfig::default();
    assert_eq!(registry.endpoint("q", &config, &health).unwrap().in_flight(), 0);
    drop((first, same, changed, held));
    assert!(registry.is_empty());
    assert_eq!(registry.endpoint("p", &config, &health).unwrap().in_flight(), 0);
}

#[test]
fn a_bad_change_leaves_the_registry_as_it_was() {
    let registry = EndpointRegistry::default();
    let config = EndpointConfig::new("http://a.example");
    let kept = registry.endpoint("p", &config, &HealthConfig::default()).unwrap();
    let bad = HealthConfig {
        failure_ratio: 7.0,
        ..HealthConfig::default()
    };
    assert!(registry.endpoint("p", &config, &bad).is_err());
    let again = registry.endpoint("p", &config, &HealthConfig::default()).unwrap();
    assert!(Arc::ptr_eq(&kept, &again));
    assert_eq!(again.origin().http(), HttpVersion::Auto);
}
