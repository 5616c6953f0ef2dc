//! Against the vectors that AWS publishes, and what they leave out.

use serde_json::Value;

use super::*;

fn vectors() -> Vec<Value> {
    let text = include_str!("../../../tests/data/aws-sigv4.json");
    let data: Value = serde_json::from_str(text).unwrap();
    data["cases"].as_array().unwrap().clone()
}

/// Method, path, query, headers (continuation lines joined) and body of a written request.
fn parse(text: &str) -> (String, String, String, HeaderMap, String) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let first = lines.next().unwrap().strip_suffix(" HTTP/1.1").unwrap();
    let (method, target) = first.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.starts_with(' ') {
            let last = fields.last_mut().unwrap();
            last.1.push_str(line);
            continue;
        }
        let (name, value) = line.split_once(':').unwrap();
        fields.push((name.to_owned(), value.to_owned()));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(
            HeaderName::try_from(name).unwrap(),
            HeaderValue::from_bytes(value.trim().as_bytes()).unwrap(),
        );
    }
    let owned = |text: &str| text.to_owned();
    (owned(method), owned(path), owned(query), headers, owned(body))
}

#[test]
fn the_published_vectors_are_signed_alike() {
    let mut checked = 0;
    for case in vectors() {
        let name = case["name"].as_str().unwrap();
        let context = &case["context"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (method, path, query, mut headers, body) = parse(case["request"].as_str().unwrap());
        let keys = AccessKeys {
            id: text(&context["credentials"]["access_key_id"]),
            secret: text(&context["credentials"]["secret_access_key"]).into(),
            session_token: None,
        };
        let hash = sha256_hex(body.as_bytes());
        headers.insert("x-amz-date", "20150830T123600Z".parse().unwrap());
        if context["sign_body"] == true {
            headers.insert("x-amz-content-sha256", hash.parse().unwrap());
        }
        if let Some(token) = context["credentials"]["token"].as_str()
            && context["omit_session_token"] != true
        {
            headers.insert("x-amz-security-token", token.parse().unwrap());
        }
        let host = headers.remove("host").unwrap();
        let target = canonical::Target {
            method: &method,
            path: &path,
            query: &query,
            is_s3: context["normalize"] == false,
        };
        let signed = canonical::headers(host.to_str().unwrap(), &headers, |_| true);
        let canonical = canonical::request(&target, &signed, &hash);
        assert_eq!(canonical, case["canonical_request"].as_str().unwrap(), "{name}");
        let region = text(&context["region"]);
        let service = text(&context["service"]);
        let scope = Scope {
            region: &region,
            service: &service,
        };
        let (authorization, to_sign) =
            authorization(&keys, scope, "20150830T123600Z", (&canonical, &signed.names));
        assert_eq!(to_sign, case["string_to_sign"].as_str().unwrap(), "{name}");
        let signature = case["signature"].as_str().unwrap();
        assert!(authorization.ends_with(signature), "{name}");
        let expected = format!("Authorization:{authorization}\n");
        assert!(
            case["signed_request"].as_str().unwrap().contains(&expected),
            "{name}"
        );
        checked += 1;
    }
    assert_eq!(checked, 38);
}

fn keys(token: Option<&str>) -> AccessKeys {
    AccessKeys {
        id: "AKIDEXAMPLE".to_owned(),
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
        session_token: token.map(SecretString::from),
    }
}

const BEDROCK: Scope<'static> = Scope {
    region: "eu-west-1",
    service: "bedrock",
};

fn post(path: &str) -> Request<Bytes> {
    Request::post(path)
        .header("content-type", "application/json")
        .header("user-agent", "x")
        .body(Bytes::from_static(b"{}"))
        .unwrap()
}

#[test]
fn an_encoded_path_is_encoded_once_more() {
    let target = canonical::Target {
        method: "POST",
        path: "/model/anthropic.claude-v1%3A0/converse",
        query: "",
        is_s3: false,
    };
    let none = canonical::headers("h", &HeaderMap::new(), |_| true);
    assert!(
        canonical::request(&target, &none, "")
            .starts_with("POST\n/model/anthropic.claude-v1%253A0/converse\n")
    );
    let s3 = canonical::Target {
        is_s3: true,
        ..target
    };
    assert!(
        canonical::request(&s3, &none, "").starts_with("POST\n/model/anthropic.claude-v1%3A0/converse\n")
    );
}

#[test]
fn the_host_that_is_really_asked_is_signed() {
    let signature = |host: &str| {
        let mut request = post("/model/m/converse");
        sign(
            &mut request,
            host,
            (&keys(None), BEDROCK),
            Payload::Signed,
            1_440_938_160,
        )
        .unwrap();
        request.headers()["authorization"].to_str().unwrap().to_owned()
    };
    let private = signature("vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com");
    assert_ne!(private, signature("bedrock-runtime.eu-west-1.amazonaws.com"));
    assert!(
        private.contains("SignedHeaders=content-type;host;x-amz-date, "),
        "{private}"
    );
}

#[test]
fn signing_again_replaces_the_signature_and_its_headers() {
    let mut request = post("/model/m/converse");
    let mut at = |token, payload, now| {
        sign(&mut request, "h", (&keys(token), BEDROCK), payload, now).unwrap();
        request.headers().clone()
    };
    let first = at(Some("token"), Payload::Unsigned, 1_440_938_160);
    assert_eq!(first["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
    assert_eq!(first["x-amz-security-token"], "token");
    assert!(first["x-amz-security-token"].is_sensitive() && first["authorization"].is_sensitive());
    let second = at(None, Payload::Signed, 1_440_938_161);
    assert_eq!(second.get_all("authorization").iter().count(), 1);
    assert!(!second.contains_key("x-amz-security-token"));
    assert!(!second.contains_key("x-amz-content-sha256"));
    assert_eq!(second["x-amz-date"], "20150830T123601Z");
    let third = at(None, Payload::Signed, 1_440_938_161);
    assert_eq!(second["authorization"], third["authorization"]);
}
