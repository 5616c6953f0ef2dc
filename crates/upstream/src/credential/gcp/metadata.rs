//! The metadata server of Google Cloud's machines (GKE workload identity included).

use http::header::HeaderName;
use url::form_urlencoded::byte_serialize;

use super::Context;
use crate::credential::bearer::{self, Token, Wanted};
use crate::credential::cache::Issued;
use crate::credential::error::{CredentialError, CredentialErrorKind};
use crate::credential::fetch::Ask;

const WHO: &str = "the metadata server of Google Cloud";
const HOST: &str = "metadata.google.internal";
const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
const TOKEN: &str = "computeMetadata/v1/instance/service-accounts/default/token";

/// A token of the account that the machine runs as.
pub(super) async fn ask(context: &Context<'_>) -> Result<Issued<Token>, CredentialError> {
    let host = context.environment.get("GCE_METADATA_HOST");
    let host = host.as_deref().unwrap_or(HOST);
    let scopes: String = byte_serialize(context.scopes.join(",").as_bytes()).collect();
    let url = format!("http://{host}/{TOKEN}?scopes={scopes}");
    let ask = Ask::get(WHO, url).plain(FLAVOR, "Google").nearby();
    let reply = ask.send(context.client).await.map_err(|error| {
        if error.kind() != CredentialErrorKind::Unreachable {
            return error;
        }
        error.within(
            "no Google Cloud credentials: GOOGLE_APPLICATION_CREDENTIALS is not set, gcloud has left none, and",
        )
    })?;
    // Somebody else may answer under that name.
    if reply.headers.get(FLAVOR).is_none_or(|flavor| flavor != "Google") {
        return Err(CredentialError::invalid(format!("what answers as {WHO} is none")));
    }
    bearer::issued(&reply, WHO, Wanted::Access)
}
