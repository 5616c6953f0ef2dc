//! The management paths of LiteLLM that scripts use most, with its field names.
//!
//! What Pointsman has no meaning for is refused by name rather than dropped: a limit that is believed to hold and does
//! not is worse than an error. Fields that say nothing (null, false, empty) are let pass, because clients send them all.

mod budgets;
mod customers;
mod fields;
mod groups;
mod keys;
mod spend;
mod teams;
mod users;

use http::Method;

use crate::access::Needs;
use crate::call::{Answer, Call};
use crate::routes::{Route, Takes};

/// All of them, each with and without `/v1` where LiteLLM has both.
pub fn routes() -> Vec<Route> {
    let get = |path, answer: fn(&Call) -> Answer| route(Method::GET, path, Takes::Nothing, answer);
    let post = |path, answer: fn(&Call) -> Answer| route(Method::POST, path, Takes::Litellm, answer);
    vec![
        post("/key/generate", keys::generate),
        post("/key/service-account/generate", keys::service_account),
        get("/key/info", keys::info),
        post("/key/update", keys::update),
        post("/key/delete", keys::delete),
        get("/key/list", keys::list),
        post("/key/block", keys::block),
        post("/key/unblock", keys::unblock),
        post("/key/regenerate", keys::regenerate),
        post("/key/{key}/regenerate", keys::regenerate),
        post("/team/new", teams::new),
        get("/team/info", teams::info),
        post("/team/update", teams::update),
        post("/team/delete", teams::delete),
        get("/team/list", teams::list),
        get("/v2/team/list", teams::page),
        get("/team/available", teams::available),
        post("/team/block", teams::block),
        post("/team/unblock", teams::unblock),
        post("/organization/new", teams::new_organization),
        get("/organization/info", teams::organization_info),
        get("/organization/list", teams::organizations),
        post("/user/new", users::new),
        get("/user/info", users::info),
        get("/v2/user/info", users::alone),
        get("/user/list", users::list),
        post("/user/update", users::update),
        post("/user/delete", users::delete),
        post("/customer/new", customers::new),
        get("/customer/info", customers::info),
        post("/customer/update", customers::update),
        post("/customer/delete", customers::delete),
        get("/customer/list", customers::list),
        post("/customer/block", customers::block),
        post("/customer/unblock", customers::unblock),
        post("/end_user/new", customers::new),
        get("/end_user/info", customers::info),
        post("/end_user/update", customers::update),
        post("/end_user/delete", customers::delete),
        get("/end_user/list", customers::list),
        post("/end_user/block", customers::block),
        post("/end_user/unblock", customers::unblock),
        post("/budget/new", budgets::new),
        post("/budget/info", budgets::info),
        post("/budget/update", budgets::update),
        post("/budget/delete", budgets::delete),
        get("/budget/list", budgets::list),
        get("/spend/logs", spend::logs),
        get("/global/spend", spend::global),
        get("/model/info", spend::models),
        get("/v1/model/info", spend::models),
        get("/model_group/info", groups::info),
        get("/models", groups::names),
        get("/v1/models", groups::names),
    ]
}

fn route(method: Method, path: &'static str, takes: Takes, answer: fn(&Call) -> Answer) -> Route {
    Route {
        method,
        path,
        summary: "As LiteLLM has it.",
        takes,
        // As with LiteLLM's master key: these paths know no tenants.
        needs: Needs::Operator,
        is_sensitive: false,
        answer,
    }
}
