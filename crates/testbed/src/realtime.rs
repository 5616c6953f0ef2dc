//! OpenAI's Realtime API as a provider: a WebSocket, the session behind it, and how it breaks on purpose.

mod check;
mod conversation;
mod response;

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Response, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::exchange::{Bill, Refusal, refuse, settle, struck};
use crate::fault::Fault;
use crate::openai::error::{OpenAi, authorize};
use crate::routes::{plain_model, query};
use crate::sim::Asked;
use crate::stream::{Body, STALL, whole};
use conversation::Conversation;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Whether a path is that of realtime sessions.
pub(crate) fn is_asked(path: &str) -> bool {
    path.trim_end_matches('/').ends_with("/realtime")
}

/// The fault that the name of a model asks for.
pub(crate) fn fault(asked: Option<&str>) -> Option<Fault> {
    model(asked?)?.split_once("+fault=")?.1.parse().ok()
}

fn model(asked: &str) -> Option<String> {
    query(asked, "model").or_else(|| query(asked, "deployment"))
}

/// Answers the handshake; the session goes on beside it.
pub(crate) fn answer(asked: Asked, upgrade: Option<OnUpgrade>) -> Response<Body> {
    if let Err(refusal) = let_in(&asked) {
        return refuse::<OpenAi>(&asked, &refusal);
    }
    if let Some(struck) = struck::<OpenAi>(&asked) {
        return struck;
    }
    let key = asked
        .headers
        .get(header::SEC_WEBSOCKET_KEY)
        .map(HeaderValue::as_bytes);
    let (Some(key), Some(upgrade)) = (key, upgrade) else {
        return refuse::<OpenAi>(&asked, &Refusal::bad("Expected a WebSocket handshake."));
    };
    let mut response = Response::new(whole(Vec::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key)) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    settle(
        &asked,
        Bill {
            model: model(&asked.query)
                .map(|name| plain_model(&name))
                .unwrap_or_default(),
            ..Bill::default()
        },
    );
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            Box::pin(serve(socket, asked)).await;
        }
    });
    response
}

fn let_in(asked: &Asked) -> Result<(), Refusal> {
    let azure = asked.headers.get("api-key");
    if azure.is_none_or(|key| !key.as_bytes().starts_with(b"sk-")) {
        authorize(asked)?;
    }
    if asked.headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        return Err(Refusal::bad("No subprotocol was expected."));
    }
    let upgrade = asked.headers.get(header::UPGRADE).map(HeaderValue::as_bytes);
    if upgrade.is_none_or(|upgrade| !upgrade.eq_ignore_ascii_case(b"websocket")) {
        return Err(Refusal::bad("Expected a WebSocket handshake."));
    }
    let transcribes = query(&asked.query, "intent").as_deref() == Some("transcription");
    match (model(&asked.query), transcribes) {
        (Some(_), true) => Err(Refusal::bad(
            "You must not provide a model parameter for transcription sessions.",
        )),
        (None, false) => Err(Refusal::bad("You must provide a model parameter.").at("model")),
        _ => Ok(()),
    }
}

/// How a session breaks.
enum Broken {
    /// The connection is gone.
    Gone,
    /// It is cut on purpose.
    Cut,
}

async fn serve(mut socket: Socket, asked: Asked) {
    let name = model(&asked.query)
        .map(|name| plain_model(&name))
        .unwrap_or_default();
    let mut conversation = Conversation::new(&name);
    if converse(&mut socket, &asked, &mut conversation).await == Some(Fault::CutClean) {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        let _ = socket.close(Some(frame)).await;
        while let Some(Ok(_)) = socket.next().await {}
    }
}

/// Until one side ends it; the fault that did, if one did.
async fn converse(socket: &mut Socket, asked: &Asked, conversation: &mut Conversation) -> Option<Fault> {
    let options = asked.state.options.clone();
    for event in conversation.greet() {
        tell(socket, conversation, event).await.ok()?;
    }
    loop {
        let message = if conversation.is_answering() {
            let pause = match asked.fault {
                Some(Fault::SlowFirstToken(ms)) if conversation.spoken == 0 => Duration::from_millis(ms),
                _ => options.token_delay,
            };
            tokio::select! {
                biased;
                message = socket.next() => message,
                () = tokio::time::sleep(pause) => {
                    match go_on(socket, asked, conversation).await {
                        Ok(()) => continue,
                        Err(Broken::Gone) => return None,
                        Err(Broken::Cut) => return asked.fault,
                    }
                }
            }
        } else {
            socket.next().await
        };
        let events = match message? {
            Ok(Message::Text(text)) => conversation.hear(&text),
            Ok(Message::Binary(_)) => vec![check::error(
                "Binary messages are not supported.",
                "invalid_message",
                &Value::Null,
            )],
            Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => return None,
            Ok(_) => continue,
            Err(_) => return None,
        };
        for event in events {
            tell(socket, conversation, event).await.ok()?;
        }
        for bill in conversation.bills.drain(..) {
            settle(asked, bill);
        }
    }
}

/// Says the next of an answer, or breaks as it should.
async fn go_on(socket: &mut Socket, asked: &Asked, conversation: &mut Conversation) -> Result<(), Broken> {
    if conversation.spoken > 1 {
        match asked.fault {
            Some(Fault::CutAbort | Fault::CutClean) => return Err(Broken::Cut),
            Some(Fault::ResetMidStream) => {
                asked.reset.store(true, Ordering::SeqCst);
                return Err(Broken::Cut);
            }
            Some(Fault::StallMidStream) => {
                tokio::time::sleep(STALL).await;
                return Err(Broken::Cut);
            }
            Some(Fault::MalformedEvent) => {
                let half = Message::Text("{\"type\":\"response.out".into());
                return socket.send(half).await.map_err(|_| Broken::Gone);
            }
            Some(Fault::ErrorEvent) => {
                let event = check::error("The server had an error", "server_error", &Value::Null);
                tell(socket, conversation, event).await?;
                conversation.fail();
            }
            _ => {}
        }
    }
    let Some(event) = conversation.next() else {
        return Ok(());
    };
    tell(socket, conversation, event).await?;
    for bill in conversation.bills.drain(..) {
        settle(asked, bill);
    }
    Ok(())
}

async fn tell(socket: &mut Socket, conversation: &mut Conversation, mut event: Value) -> Result<(), Broken> {
    event["event_id"] = json!(conversation.number("event"));
    let message = Message::Text(event.to_string().into());
    socket.send(message).await.map_err(|_| Broken::Gone)
}
