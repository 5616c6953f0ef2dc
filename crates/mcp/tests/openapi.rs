//! Documents of many shapes become tools with schemas that hold, and calls become the requests that their APIs expect.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::path::Path;

use pointsman_mcp::openapi::{Asked, Document, Operation, operations};
use serde_json::{Value, json};

fn read(name: &str) -> (Vec<Operation>, Vec<String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    operations(&Document::read(&text).unwrap())
}

fn named<'a>(all: &'a [Operation], name: &str) -> &'a Operation {
    all.iter().find(|one| one.name == name).unwrap()
}

fn ask(document: &str, operation: &str, arguments: Value) -> Result<Asked, String> {
    let (all, _) = read(document);
    named(&all, operation).ask(arguments.as_object().unwrap())
}

fn body(asked: &Asked) -> String {
    String::from_utf8(asked.body.to_vec()).unwrap()
}

fn header(asked: &Asked, name: &str) -> String {
    let value = asked.headers.get(name);
    value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

#[test]
fn every_document_becomes_tools_with_schemas_that_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let (all, wrong) = read(&name);
        assert!(!all.is_empty(), "{name}");
        assert_eq!(wrong.is_empty(), !name.starts_with("11-"), "{name}: {wrong:?}");
        for one in &all {
            let tool = &one.definition;
            assert!(one.name.len() <= 64, "{}", one.name);
            for schema in [&tool["inputSchema"], &tool["outputSchema"]] {
                if schema.is_null() {
                    continue;
                }
                assert_eq!(schema["type"], "object", "{name} {}", one.name);
                assert!(!schema.to_string().contains("$ref"), "{name} {}", one.name);
                jsonschema::meta::validate(schema)
                    .unwrap_or_else(|error| panic!("{name} {}: {error}", one.name));
                jsonschema::validator_for(schema).unwrap();
            }
        }
        seen += 1;
    }
    assert!(seen >= 12);
}

#[test]
fn tools_say_what_their_operations_do() {
    let (all, _) = read("01-pets-3.0.yaml");
    let tool = |name: &str| named(&all, name).definition.clone();
    assert_eq!(tool("listPets")["annotations"]["readOnlyHint"], true);
    assert_eq!(tool("deletePet")["annotations"]["destructiveHint"], true);
    assert_eq!(tool("createPet")["annotations"]["destructiveHint"], false);
    assert_eq!(
        tool("listPets")["outputSchema"]["properties"]["result"]["type"],
        "array"
    );
    assert_eq!(tool("showPet")["outputSchema"]["required"], json!(["id", "name"]));
    assert_eq!(
        tool("showPet")["inputSchema"]["properties"]["petId"]["description"],
        "Which pet"
    );
    // What the API sets itself is not asked for.
    let made = &tool("createPet")["inputSchema"]["properties"]["body"];
    assert_eq!(made["required"], json!(["name"]));
    assert_eq!(made["properties"]["tag"]["type"], json!(["string", "null"]));
}

#[test]
fn names_are_fit_and_never_alike() {
    let (all, _) = read("06-no-names.yaml");
    let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(
        names[..5],
        [
            "get_a_x_b_json",
            "head_a_b",
            "same_name",
            "same-name",
            "same_name_2"
        ]
    );
    assert!(names[5].len() == 64 && names[5].starts_with("thisOperationHasAName"));
}

#[test]
fn parameters_of_every_style_arrive_as_described() {
    let asked = ask(
        "07-styles.yaml",
        "styles",
        json!({
            "matrix": ["a", "b c"], "label": "x.y", "simple": { "k": "v", "n": 1 }, "form": ["1", "2,3"],
            "space": ["a", "b"], "pipe": ["a", "b"], "deep": { "a": { "b": "c" } }, "filter": { "q": "a&b" },
            "loose": "a/b&c", "X-List": ["1", "2"], "crumb": "x; y",
        }),
    )
    .unwrap();
    assert_eq!(
        asked.path,
        "/m/;matrix=a;matrix=b%20c/l/.x.y/s/k=v,n=1?form=1,2%2C3&space=a%20b&pipe=a%7Cb&deep%5Ba%5D%5Bb%5D=c&filter=%7B%22q%22%3A%22a%26b%22%7D&loose=a/b%26c"
    );
    assert_eq!(header(&asked, "x-list"), "1,2");
    assert_eq!(header(&asked, "cookie"), "crumb=x%3B%20y");
}

#[test]
fn swagger_calls_arrive_as_described() {
    let found = ask(
        "02-store-swagger.json",
        "findOrders",
        json!({ "status": ["a", "b"], "ids": [1, 2] }),
    )
    .unwrap();
    assert_eq!(found.path, "/orders/search?status=a&status=b&ids=1%7C2");
    let placed = ask(
        "02-store-swagger.json",
        "placeOrder",
        json!({ "body": { "quantity": 2 } }),
    )
    .unwrap();
    assert_eq!(body(&placed), r#"{"quantity":2}"#);
    let sent = json!({ "orderId": 7, "body": { "note": "n", "file": "aGk=" } });
    let sent = ask("02-store-swagger.json", "uploadInvoice", sent).unwrap();
    assert_eq!(sent.path, "/orders/7/invoice");
    assert!(header(&sent, "content-type").starts_with("multipart/form-data; boundary="));
    assert!(
        body(&sent).contains("filename=\"file\"\r\nContent-Type: application/octet-stream\r\n\r\nhi\r\n")
    );
    assert!(ask("02-store-swagger.json", "uploadInvoice", json!({ "orderId": 7 })).is_err());
}

#[test]
fn bodies_of_every_sort_arrive() {
    let charge = json!({ "body": { "amount": 5, "metadata": { "order": "a b" }, "expand": ["x", "y"] } });
    let charge = ask("04-payments-form.yaml", "PostCharges", charge).unwrap();
    assert_eq!(
        header(&charge, "content-type"),
        "application/x-www-form-urlencoded"
    );
    assert_eq!(
        body(&charge),
        "amount=5&metadata%5Border%5D=a+b&expand=x&expand=y"
    );
    let put = ask(
        "08-files.yaml",
        "putFile",
        json!({ "path": "a b/c", "body": "AAEC" }),
    )
    .unwrap();
    assert_eq!(
        (put.path.as_str(), &put.body[..]),
        ("/files/a%20b%2Fc", &[0, 1, 2][..])
    );
    assert_eq!(header(&put, "content-type"), "application/octet-stream");
    let note = ask("08-files.yaml", "note", json!({ "body": "hello" })).unwrap();
    assert_eq!(body(&note), "hello");
    let patched = json!({ "id": "1", "id_query": "2", "body": "h", "request_body": { "a": null } });
    let patched = ask("09-clashes.yaml", "patchUser", patched).unwrap();
    assert_eq!(patched.path, "/users/1?id=2");
    assert_eq!(
        (header(&patched, "body").as_str(), body(&patched).as_str()),
        ("h", r#"{"a":null}"#)
    );
    assert_eq!(header(&patched, "content-type"), "application/merge-patch+json");
}

#[test]
fn keys_of_the_api_are_not_for_callers() {
    let (all, _) = read("10-keys.yaml");
    let properties = &named(&all, "weather").definition["inputSchema"]["properties"];
    assert!(properties.get("q").is_some() && properties.get("appid").is_none());
    // Nor can they be smuggled in.
    let smuggled = ask("10-keys.yaml", "weather", json!({ "q": "x", "appid": "mine" }));
    assert!(smuggled.unwrap_err().contains("appid"));
    let (all, _) = read("07-styles.yaml");
    assert!(
        named(&all, "styles").definition["inputSchema"]["properties"]
            .get("Authorization")
            .is_none()
    );
}

#[test]
fn no_value_leads_out_of_its_place() {
    for value in [
        "..",
        ".",
        "../admin",
        "a/../../admin",
        "..\\admin",
        "%2e%2e",
        "%2e%2e%2fadmin",
        "%252e%252e%252fadmin",
        "..;/admin",
        "a/./b",
    ] {
        let asked = ask("01-pets-3.0.yaml", "showPet", json!({ "petId": value }));
        assert!(asked.unwrap_err().contains("may not be"), "{value}");
    }
    assert!(ask("01-pets-3.0.yaml", "showPet", json!({ "petId": "" })).is_err());
    for (value, expected) in [
        ("a/b", "/pets/a%2Fb"),
        ("a..b", "/pets/a..b"),
        ("...", "/pets/..."),
        ("1.5;v=2", "/pets/1.5%3Bv%3D2"),
        ("a?b=c#d", "/pets/a%3Fb%3Dc%23d"),
        ("a\r\nHost: b", "/pets/a%0D%0AHost%3A%20b"),
        ("//evil.example.com", "/pets/%2F%2Fevil.example.com"),
    ] {
        let asked = ask("01-pets-3.0.yaml", "showPet", json!({ "petId": value })).unwrap();
        assert_eq!(asked.path, expected);
    }
    let header =
        json!({ "matrix": ["a"], "label": "a", "simple": { "k": "v" }, "X-List": ["a\r\nX-Other: b"] });
    assert!(
        ask("07-styles.yaml", "styles", header)
            .unwrap_err()
            .contains("cannot be sent")
    );
}

#[test]
fn arguments_are_held_against_the_schema() {
    for (arguments, expected) in [
        (json!({ "body": { "value": 1, "unit": "m" } }), None),
        (json!({ "body": { "value": 1, "unit": null } }), None),
        (
            json!({ "body": { "value": 0, "unit": "m" } }),
            Some("/body/value"),
        ),
        (
            json!({ "body": { "value": 1, "unit": "km" } }),
            Some("/body/unit"),
        ),
        (json!({ "body": { "value": 1 } }), Some("unit")),
        (
            json!({ "body": { "value": 1, "unit": "m", "more": 1 } }),
            Some("more"),
        ),
        (json!({}), Some("body")),
    ] {
        let asked = ask("12-old-numbers.yaml", "measure", arguments.clone()).map(|_| ());
        match expected {
            None => assert!(asked.is_ok(), "{arguments}: {asked:?}"),
            Some(why) => assert!(asked.clone().unwrap_err().contains(why), "{arguments}: {asked:?}"),
        }
    }
}

#[test]
fn an_operation_that_is_wrong_leaves_the_others_alone() {
    let (all, wrong) = read("11-broken-parts.yaml");
    assert_eq!(
        all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
        ["good"]
    );
    for (at, why) in [
        ("GET /missing/{it}", "not described"),
        ("GET /away", "out of the document"),
        ("GET /odd", "not supported"),
    ] {
        assert!(
            wrong.iter().any(|one| one.starts_with(at) && one.contains(why)),
            "{wrong:?}"
        );
    }
}
