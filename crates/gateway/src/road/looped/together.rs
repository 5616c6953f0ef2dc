//! Calls side by side: so many at once, until enough have answered.

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use pointsman_routing::loops::{OnError, Rules, name_of};
use pointsman_wire::form::{Failure, FailureKind};

use super::ring::{Call, Heard, Ring};

/// One call's place and what came of it.
type Came = (usize, String, Result<Heard, Failure>);

/// Makes calls side by side, and gives the answers in the order of the calls. Once enough have answered, the others are
/// given up.
///
/// # Errors
/// When one fails where none may, or all do.
pub async fn ask(ring: &Ring<'_>, calls: Vec<Call<'_>>, rules: &Rules) -> Result<Vec<Heard>, Failure> {
    let count = calls.len();
    let enough = rules.enough(count);
    let each = calls.into_iter().enumerate().map(|(place, call)| {
        let model = name_of(call.selected).to_owned();
        let asking: BoxFuture<'_, Came> = Box::pin(async move { (place, model, ring.ask(call).await) });
        asking
    });
    let mut under_way = stream::iter(each.collect::<Vec<_>>()).buffer_unordered(rules.at_once(count));
    let mut heard = Vec::with_capacity(count);
    let mut failures = Vec::new();
    while let Some((place, model, came)) = under_way.next().await {
        match came {
            Ok(answer) => heard.push((place, answer)),
            Err(failure) if rules.on_error == OnError::Fail => return Err(of_model(&model, failure)),
            Err(failure) => failures.push((model, failure)),
        }
        if heard.len() >= enough {
            break;
        }
    }
    drop(under_way);
    if heard.is_empty() {
        return Err(all_failed(failures));
    }
    heard.sort_by_key(|(place, _)| *place);
    Ok(heard.into_iter().map(|(_, answer)| answer).collect())
}

/// The failure of one model, where none may fail.
pub fn of_model(model: &str, mut failure: Failure) -> Failure {
    failure.message = format!("the model {model:?} failed, and none may: {}", failure.message);
    failure
}

/// What is told where nobody has answered: of the kind of the last failure, because that is what is in the way now.
pub fn all_failed(failures: Vec<(String, Failure)>) -> Failure {
    let told: Vec<String> = failures
        .iter()
        .map(|(model, failure)| format!("{model}: {}", failure.message))
        .collect();
    let Some((_, mut last)) = failures.into_iter().last() else {
        return Failure::new(FailureKind::Unavailable, "no model could be asked");
    };
    last.message = format!("none of the models answered: {}", told.join("; "));
    last
}
