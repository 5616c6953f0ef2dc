//! Where users let the gateway in at an MCP server: the page that says what they consent to, and the one they come back
//! to from the authorization server.
//!
//! A page is reached with a ticket, which only the gateway can write. Whoever goes on from it shows that they are the one
//! it is for, by their key or token; and whoever comes back, that they went from the same browser.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;
use pointsman_governance::Principal;
use pointsman_mcp::call::TICKET;
use pointsman_mcp::oauth::{CONSENT_SECS, Returned, Ticket, metadata_document, now};
use pointsman_wire::form::{Failure, FailureKind};
use url::Url;
use url::form_urlencoded;

use super::door;
use crate::incoming::{self, BodyBounds};
use crate::reply::{self, Reply, ReplyBody};
use crate::road::{Arrival, Refusal, identify};
use crate::worker::Worker;

/// Where users come back to.
const CALLBACK: &str = "/oauth/callback/mcp";
/// Where the gateway describes itself as a client.
const CLIENT: &str = "/oauth/client/mcp";
/// What shows that somebody comes back from where they went.
const COOKIE: &str = "pointsman-mcp-consent";
/// How much a form may hold, and how long it may take.
const FORM: BodyBounds = BodyBounds {
    limit: 64 * 1024,
    timeout: Duration::from_secs(10),
};

/// Where browsers reach the gateway, as far as that is known: as the operator says, or by the name of this machine that
/// the caller used.
pub fn base(arrival: &Arrival) -> Option<String> {
    let policy = &arrival.snapshot.mcp;
    if let Some(url) = &policy.hub.config.public_url {
        return Some(url.trim_end_matches('/').to_owned());
    }
    let host = arrival.headers.get(header::HOST)?.to_str().ok()?;
    let is_plain = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
    let scheme = if arrival.snapshot.keeping.tls {
        "https"
    } else {
        "http"
    };
    // The door has looked at the name: it leads nowhere else.
    (policy.is_local && is_plain).then(|| format!("{scheme}://{host}"))
}

/// On whose behalf servers are asked where users have grants of their own: the user's, whichever key they come with.
pub fn owner(caller: &Principal) -> String {
    match (&caller.user, &caller.key) {
        (Some(user), _) => format!("user:{}", user.as_str()),
        (None, Some(key)) => format!("key:{}", key.as_str()),
        (None, None) => "anonymous".to_owned(),
    }
}

/// Serves the pages. Nobody has to be known to see one.
///
/// # Errors
/// When there is no such page, or its form does not come.
pub async fn serve(worker: &Arc<Worker>, arrival: &Arrival, body: Incoming) -> Result<Reply, Refusal> {
    let policy = &arrival.snapshot.mcp;
    if let Err(error) = door::check_host(&arrival.headers, arrival.uri.authority(), policy) {
        incoming::leave(&arrival.headers, body);
        return Ok(super::told(&error, None));
    }
    let Some(base) = base(arrival) else {
        incoming::leave(&arrival.headers, body);
        let message = "nobody has said where browsers reach this gateway (`mcp.public_url`)";
        return Err(Failure::new(FailureKind::NotFound, message).into());
    };
    if arrival.method == Method::POST {
        let form = incoming::read(&arrival.headers, body, FORM).await?;
        return Ok(Box::pin(go(worker, arrival, &base, &form)).await);
    }
    incoming::leave(&arrival.headers, body);
    Ok(match arrival.uri.path() {
        CLIENT => {
            let document = metadata_document(&format!("{base}{CLIENT}"), &format!("{base}{CALLBACK}"));
            reply::json(StatusCode::OK, &document)
        }
        CALLBACK => Box::pin(back(worker, arrival)).await,
        _ => ask(arrival),
    })
}

/// What a query or a form says of a name.
fn said(text: &[u8], name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(text);
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

fn ticket(arrival: &Arrival, sealed: &str) -> Option<Ticket> {
    let vault = arrival.snapshot.mcp.hub.board.vault();
    let ticket = vault.open::<Ticket>(TICKET, sealed)?;
    let is_here = arrival.surface.model.as_deref() == Some(&ticket.needed.server);
    (is_here && now() <= ticket.at + CONSENT_SECS).then_some(ticket)
}

fn too_old() -> Reply {
    let text = "This page is not good any more. Call the tool again: it gives another one.";
    page(StatusCode::BAD_REQUEST, "Connect", &paragraph(text))
}

/// The page that says what is consented to.
fn ask(arrival: &Arrival) -> Reply {
    let sealed = said(arrival.uri.query().unwrap_or_default().as_bytes(), "ticket").unwrap_or_default();
    let Some(ticket) = ticket(arrival, &sealed) else {
        return too_old();
    };
    let needed = &ticket.needed;
    let everybody = needed.owner == "anonymous";
    let whose = if everybody {
        "Everybody who can call this gateway will be able to use what you let it do there."
    } else {
        "Only your own calls will use what you let it do there."
    };
    let proof = if everybody {
        String::new()
    } else {
        "<p><label>Your key of this gateway<br><input type=password name=key required autocomplete=off></label></p>"
            .to_owned()
    };
    let scopes = if needed.scopes.is_empty() {
        String::new()
    } else {
        paragraph(&format!("It asks for: {}", needed.scopes.join(", ")))
    };
    let form = format!(
        "{}{}{scopes}<form method=post><input type=hidden name=ticket value=\"{}\">{proof}<p><button>Go on</button></p></form>",
        paragraph(&format!("Pointsman will ask {} for access.", needed.server)),
        paragraph(whose),
        escaped(&sealed),
    );
    page(StatusCode::OK, &format!("Connect to {}", needed.server), &form)
}

/// Sends a user to the authorization server.
async fn go(worker: &Arc<Worker>, arrival: &Arrival, base: &str, form: &Bytes) -> Reply {
    // A page of somebody else could send a form on behalf of whoever sees it.
    if !is_from_here(arrival, base) {
        let text = "This form was sent by another page.";
        return page(StatusCode::FORBIDDEN, "Connect", &paragraph(text));
    }
    let sealed = said(form, "ticket").unwrap_or_default();
    let Some(ticket) = ticket(arrival, &sealed) else {
        return too_old();
    };
    let needed = &ticket.needed;
    if needed.owner != "anonymous" {
        let key = said(form, "key").unwrap_or_default();
        let is_theirs = match identify::by_text(worker, arrival, key.trim()).await {
            Ok(caller) => owner(&caller) == needed.owner,
            Err(_) => false,
        };
        if !is_theirs {
            let text = "This is not the key that the page was made for.";
            return page(StatusCode::FORBIDDEN, "Connect", &paragraph(text));
        }
    }
    let server = arrival.snapshot.mcp.hub.server_of(&needed.server, &needed.owner);
    let Some(account) = server.as_ref().and_then(|server| server.account()) else {
        return too_old();
    };
    let own = base.starts_with("https://").then(|| format!("{base}{CLIENT}"));
    let redirect = format!("{base}{CALLBACK}");
    let begun = account
        .begin(&worker.client, needed, (&redirect, own.as_deref()))
        .await;
    let begun = match begun {
        Ok(begun) => begun,
        Err(why) => return failed(&needed.server, &why),
    };
    let secure = if base.starts_with("https://") {
        "; Secure"
    } else {
        ""
    };
    let cookie = format!(
        "{COOKIE}={}; Path=/oauth; Max-Age={CONSENT_SECS}; HttpOnly; SameSite=Lax{secure}",
        begun.browser
    );
    let mut reply = page(StatusCode::SEE_OTHER, "Connect", "");
    let headers = (HeaderValue::try_from(begun.url), HeaderValue::try_from(cookie));
    let (Ok(place), Ok(cookie)) = headers else {
        return failed(
            &needed.server,
            "its authorization server has an address that cannot be sent",
        );
    };
    reply.headers_mut().insert(header::LOCATION, place);
    reply.headers_mut().insert(header::SET_COOKIE, cookie);
    reply
}

fn is_from_here(arrival: &Arrival, base: &str) -> bool {
    let origin = arrival.headers.get(header::ORIGIN);
    let origin = origin
        .and_then(|origin| origin.to_str().ok())
        .and_then(|origin| Url::parse(origin).ok());
    let own = Url::parse(base).ok();
    origin
        .zip(own)
        .is_some_and(|(origin, own)| origin.origin() == own.origin())
}

/// A user comes back.
async fn back(worker: &Arc<Worker>, arrival: &Arrival) -> Reply {
    let query = arrival.uri.query().unwrap_or_default().as_bytes();
    let returned = Returned {
        state: said(query, "state").unwrap_or_default(),
        code: said(query, "code"),
        issuer: said(query, "iss"),
        error: said(query, "error").map(|error| match said(query, "error_description") {
            Some(more) => format!("{error}: {more}"),
            None => error,
        }),
        browser: cookie(arrival),
    };
    let hub = &arrival.snapshot.mcp.hub;
    let Some((server, owner)) = returned.whose(hub.board.vault()) else {
        return too_old();
    };
    let found = hub.server_of(&server, &owner);
    let Some((found, account)) = found.as_ref().and_then(|found| Some((found, found.account()?))) else {
        return too_old();
    };
    if let Err(why) = account.finish(&worker.client, &returned).await {
        return failed(&server, &why);
    }
    found.granted().await;
    tracing::info!(server, owner, "a user has let the gateway in at an MCP server");
    let text = format!("Pointsman is connected to {server}. You can close this page.");
    page(
        StatusCode::OK,
        &format!("Connected to {server}"),
        &paragraph(&text),
    )
}

fn cookie(arrival: &Arrival) -> Option<String> {
    let mut lines = arrival.headers.get_all(header::COOKIE).iter();
    lines.find_map(|line| {
        let mut pairs = line.to_str().ok()?.split(';');
        pairs.find_map(|pair| {
            pair.trim()
                .strip_prefix(COOKIE)?
                .strip_prefix('=')
                .map(str::to_owned)
        })
    })
}

fn failed(server: &str, why: &str) -> Reply {
    tracing::warn!(
        server,
        why,
        "a user could not let the gateway in at an MCP server"
    );
    let text = format!("It did not work: {why}");
    page(
        StatusCode::BAD_GATEWAY,
        &format!("Connect to {server}"),
        &paragraph(&text),
    )
}

fn paragraph(text: &str) -> String {
    format!("<p>{}</p>", escaped(text))
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

/// A page of ours: it loads nothing, stands in no frame, and is kept nowhere.
fn page(status: StatusCode, title: &str, inner: &str) -> Reply {
    let title = escaped(title);
    let text = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title}</title><style>body{{font:1rem/1.5 system-ui;max-width:36rem;margin:4rem auto;padding:0 1rem}}</style>\
         <h1>{title}</h1>{inner}"
    );
    let mut reply = Reply::new(ReplyBody::Whole(Some(text.into())));
    *reply.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ] {
        reply.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_said_becomes_part_of_the_page() {
        assert_eq!(
            escaped(r#"<a href="x">'&"#),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;"
        );
        assert_eq!(said(b"a=1&ticket=x%2By+z", "ticket").as_deref(), Some("x+y z"));
        assert_eq!(said(b"a=1", "ticket"), None);
    }
}
