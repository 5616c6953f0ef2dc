//! Messages of MCP servers and clients, and what is made of them.

use http::HeaderMap;
use pointsman_mcp::catalog::{self, Item, Kind};
use pointsman_mcp::message::{self, Incoming, Message, Object};
use pointsman_mcp::meta;
use pointsman_mcp::openapi::{Document, operations};

pub const MESSAGES: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a_b","arguments":{"n":1e9,"s":"\u00e9"},"_meta":{"progressToken":"t","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
    r#"[{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}},{"jsonrpc":"2.0","id":"x","result":{"tools":[]}}]"#,
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}"#,
    r#"{"jsonrpc":"2.0","id":2,"result":{"name":"t","inputSchema":{"type":"object","properties":{"r":{"type":"string","x-mcp-header":"R"}}},"uriTemplate":"a://{b}/c","uri":"a://1/c"}}"#,
];

pub fn messages(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match message::decode(text) {
        Ok(Incoming::One(one)) => look(one),
        Ok(Incoming::Batch(batch)) => batch.into_iter().flatten().for_each(look),
        Err(error) => assert!(message::decode(&error.answer(None)).is_ok()),
    }
}

fn look(one: Message) {
    match one {
        Message::Request(request) => {
            let _ = meta::check(&request, &HeaderMap::new());
            // What is written is read as the same.
            let text = message::request(&request.id, &request.method, &request.params);
            let Ok(Incoming::One(Message::Request(again))) = message::decode(&text) else {
                panic!("{text} is no request any more");
            };
            assert_eq!((again.id, again.method), (request.id, request.method));
            assert_eq!(again.params.raw().get(), request.params.raw().get());
        }
        Message::Notification(told) => {
            let text = message::notification(&told.method, &told.params);
            assert!(message::decode(&text).is_ok());
        }
        Message::Response(answer) => {
            let Ok(result) = answer.outcome else { return };
            for kind in catalog::KINDS {
                let _ = Item::read(kind, &result);
            }
            let fields = Object::parse(result.get()).unwrap_or_default();
            let (template, uri) = (fields.text("uriTemplate"), fields.text("uri"));
            let _ = catalog::fits(&template.unwrap_or_default(), &uri.unwrap_or_default());
            let _ = Kind::listed_by("tools/list");
        }
    }
}

/// Documents of APIs.
pub const DOCUMENTS: &[&str] = &[
    "openapi: 3.0.0\nservers: [{url: 'https://{r}.a/v1', variables: {r: {default: e}}}]\npaths:\n  /a/{x}:\n    get:\n      operationId: g\n      parameters: [{name: x, in: path, required: true, style: label, schema: {$ref: '#/s'}}]\n      responses: {'200': {content: {application/json: {schema: {allOf: [{$ref: '#/s'}]}}}}}\ns: {type: string, nullable: true}\n",
    r##"{"swagger":"2.0","host":"a","paths":{"/f/{id}":{"post":{"parameters":[{"name":"id","in":"path","required":true,"type":"string"},{"name":"f","in":"formData","type":"file"}],"responses":{"200":{"schema":{"$ref":"#/definitions/D"}}}}}},"definitions":{"D":{"properties":{"d":{"$ref":"#/definitions/D"}}}}}"##,
];

/// A document is refused or read; what is read makes tools that can be called, or say what is wrong with a call.
pub fn documents(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let Ok(document) = Document::read(text) else {
        return;
    };
    let _ = (document.server(), document.schemes(), document.about());
    let (all, _) = operations(&document);
    for operation in all.iter().take(8) {
        let mut arguments = serde_json::Map::new();
        let properties = operation.definition["inputSchema"]["properties"].as_object();
        for name in properties.into_iter().flatten().map(|(name, _)| name) {
            arguments.insert(name.clone(), serde_json::Value::from("../x"));
        }
        if let Ok(asked) = operation.ask(&arguments) {
            let path = asked.path.split('?').next().unwrap_or_default();
            assert!(
                !path.split('/').any(|segment| matches!(segment, "." | "..")),
                "{path}"
            );
        }
    }
}
