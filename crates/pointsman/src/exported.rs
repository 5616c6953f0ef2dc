//! Rows on their way from the database to standard output: what goes wrong, and how the command ends.

use std::io;
use std::process::ExitCode;

use pointsman_store::StoreError;

use crate::console;

/// What went wrong on the way out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("Parquet: {0}")]
    Parquet(#[from] ::parquet::errors::ParquetError),
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

/// How the command ends.
pub(crate) fn ended(told: Result<(), Broken>) -> ExitCode {
    match told {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(Broken::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => console::fail(&error.to_string()),
    }
}
