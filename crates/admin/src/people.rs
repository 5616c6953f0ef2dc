//! Whoever calls: who they are, their tokens, the end of their session.

use http::{HeaderValue, Method, StatusCode, header};
use pointsman_store::{Credential, CredentialKind, HolderKind, Permission, StoreError, UserId};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::{Caller, Needs, Object, Person, SESSION_COOKIE, cookie, csrf_token, may_touch};
use crate::call::{Answer, Call, Failed, Reply};
use crate::routes::{Route, Takes, get, with};
use crate::shapes::{beside, instant, time};

/// What a token is called, and when it ends.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TokenFields {
    /// A name for people.
    pub name: String,
    /// When it ends, such as `2027-01-01T00:00:00Z`; absent, it goes on until it is ended.
    pub expires_at: Option<String>,
}

/// Their paths.
pub fn routes() -> [Route; 8] {
    let of_user = |any| Needs::At(Object::Holder(HolderKind::User), any);
    [
        get(
            "/admin/v1/me",
            Needs::SomeoneKnown,
            "Tells who one is, and what one may do where.",
            me,
        ),
        with(
            (Method::DELETE, "/admin/v1/me/session"),
            Needs::Session,
            Takes::Nothing,
            "Ends the session that this request comes with.",
            sign_out,
        ),
        get(
            "/admin/v1/me/tokens",
            Needs::SomeoneKnown,
            "Lists one's own tokens and sessions.",
            |call| list(call, &myself(call)?.user),
        ),
        with(
            (Method::POST, "/admin/v1/me/tokens"),
            // A token makes no tokens: one that is stolen ends when it says.
            Needs::Session,
            Takes::Token,
            "Makes a token of one's own; its secret is shown this once.",
            |call| create(call, &myself(call)?.user),
        ),
        with(
            (Method::DELETE, "/admin/v1/me/tokens/{token}"),
            Needs::SomeoneKnown,
            Takes::Nothing,
            "Ends a token or session of one's own.",
            |call| end(call, &myself(call)?.user, call.segment(0)),
        ),
        get(
            "/admin/v1/users/{id}/tokens",
            of_user(&[Permission::UsersRead]),
            "Lists the tokens and sessions of a user.",
            |call| list(call, &user(call)),
        ),
        with(
            (Method::POST, "/admin/v1/users/{id}/tokens"),
            // Whoever has a token of somebody is that somebody.
            Needs::Operator,
            Takes::Token,
            "Makes a token of a user, such as a program; its secret is shown this once.",
            |call| create(call, &user(call)),
        ),
        with(
            (Method::DELETE, "/admin/v1/users/{id}/tokens/{token}"),
            of_user(&[Permission::UsersWrite]),
            Takes::Nothing,
            "Ends a token or session of a user.",
            |call| {
                may_touch(call, &user(call))?;
                end(call, &user(call), call.segment(1))
            },
        ),
    ]
}

fn user(call: &Call) -> UserId {
    UserId::from(call.segment(0))
}

/// Whoever calls, where that is somebody and not the operator's token.
fn myself(call: &Call) -> Result<&Person, Failed> {
    match &call.caller {
        Caller::Person(person) => Ok(person),
        Caller::Nobody | Caller::Operator => Err(Failed::new(
            StatusCode::CONFLICT,
            "the operator's token is nobody's; /admin/v1/users/ID/tokens has tokens of users",
        )),
    }
}

fn me(call: &Call) -> Answer {
    call.only(&[])?;
    Ok(Reply::of(match &call.caller {
        Caller::Nobody | Caller::Operator => {
            json!({ "operator": true, "user": null, "roles": [], "csrf_token": null })
        }
        Caller::Person(person) => {
            let session = call
                .caller
                .session()
                .and_then(|_| cookie(&call.headers, SESSION_COOKIE));
            json!({
                "operator": false,
                "user": person.user,
                "roles": person.shown(),
                "expires_at": person.credential.expires_at.map(time),
                "csrf_token": session.map(csrf_token),
            })
        }
    }))
}

fn sign_out(call: &Call) -> Answer {
    let Some(session) = call.caller.session() else {
        return Err(Failed::wrong("this request comes without a session"));
    };
    match call
        .store()
        .end_credential(&call.actor, &session.user, &session.id)
    {
        Ok(()) | Err(StoreError::NoSuchHolder { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let gone = HeaderValue::from_static(
        "__Host-pointsman-session=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax",
    );
    Ok(Reply::done().with(header::SET_COOKIE, gone))
}

fn list(call: &Call, user: &UserId) -> Answer {
    call.only(&[])?;
    let data: Vec<_> = call.store().credentials_of(user)?.iter().map(view).collect();
    Ok(Reply::of(json!({ "data": data })))
}

fn create(call: &Call, user: &UserId) -> Answer {
    let fields: TokenFields = call.read()?;
    let expires_at = fields.expires_at.as_deref().map(instant).transpose()?;
    let what = (CredentialKind::Token, fields.name.as_str());
    let (made, secret) = call
        .store()
        .create_credential(&call.actor, user, what, expires_at)?;
    let shown = json!({ "secret": secret.expose_secret() });
    Ok(Reply::made(beside(view(&made), shown)))
}

fn end(call: &Call, user: &UserId, id: &str) -> Answer {
    call.store().end_credential(&call.actor, user, id)?;
    Ok(Reply::done())
}

fn view(credential: &Credential) -> Value {
    json!({
        "id": credential.id,
        "kind": credential.kind,
        "name": credential.name,
        "created_at": time(credential.created_at),
        "expires_at": credential.expires_at.map(time),
    })
}
