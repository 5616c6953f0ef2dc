//! Messages of MCP servers and clients, and what is made of them.

use pointsman_mcp::catalog::{self, Item, Kind};
use pointsman_mcp::message::{self, Incoming, Message, Object};
use pointsman_mcp::meta;
use http::HeaderMap;

pub const MESSAGES: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a_b","arguments":{"n":1e9,"s":"\u00e9"},"_meta":{"progressToken":"t","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
    r#"[{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}},{"jsonrpc":"2.0","id":"x","result":{"tools":[]}}]"#,
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}"#,
    r#"{"jsonrpc":"2.0","id":2,"result":{"name":"t","inputSchema":{"type":"object","properties":{"r":{"type":"string","x-mcp-header":"R"}}},"uriTemplate":"a://{b}/c","uri":"a://1/c"}}"#,
];

pub fn messages(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
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
