//! `credential_process`: a command that prints keys.

use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::IssuedKeys;
use super::document::Document;
use crate::credential::error::CredentialError;

const WHO: &str = "the credential_process of AWS";
const OUTPUT_LIMIT: u64 = 64 * 1024;

/// Runs the command in a shell, as the command line tools do. The limit on time is that of the whole fetch; given up,
/// the process is killed.
pub(super) async fn keys(command: &str) -> Result<IssuedKeys, CredentialError> {
    let failed = |problem: String| CredentialError::invalid(format!("{WHO} failed")).because(problem);
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // What it complains about may hold secrets.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout
            .take(OUTPUT_LIMIT)
            .read_to_end(&mut output)
            .await
            .map_err(|error| failed(error.to_string()))?;
    }
    let status = child.wait().await.map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(format!("it ended with {status}")));
    }
    let document: Document = serde_json::from_slice(&output)
        .map_err(|_| CredentialError::invalid(format!("what {WHO} printed makes no sense")))?;
    if document.version != Some(1) {
        return Err(CredentialError::invalid(format!(
            "{WHO} printed another version than 1"
        )));
    }
    document.keys(WHO, None, false)
}
