//! `pointsman secret`: secrets that are kept in the database, sealed by a master key.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use pointsman_store::{Actor, MasterKeys, SecretFields, Store};
use pointsman_upstream::config::SecretsConfig;
use pointsman_upstream::secrets::wrap_key;
use secrecy::ExposeSecret;

use crate::console;

/// Bytes of a value.
const LONGEST: u64 = 64 * 1024;
/// Rows of a list.
const MAX_ROWS: u32 = 10_000;

/// The configuration is not read: it may name the very secret that is to be made.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The database.
    #[arg(long, global = true, default_value = "sqlite://pointsman.db")]
    database: String,
    /// A file that holds a master key; may be given several times, the one in use first. POINTSMAN_MASTER_KEY, when not
    /// given.
    #[arg(long = "master-key-file", global = true)]
    key_files: Vec<PathBuf>,
    /// The vault of Azure whose keys wrap master keys: its URL.
    #[arg(long, global = true)]
    azure_vault: Option<String>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Makes a new master key and shows it, once.
    Key {
        /// Has a key management service wrap it, and shows what that made of it: aws-kms:KEY,
        /// gcp-kms:projects/P/locations/L/keyRings/R/cryptoKeys/KEY, azure-kms:NAME/VERSION or vault-transit:ENGINE/KEY.
        #[arg(long, value_name = "SERVICE:KEY")]
        wrapped_by: Option<String>,
    },
    /// Keeps what comes over standard input; `${store:NAME}` in the configuration names it.
    Set {
        /// Its name.
        name: String,
        /// Its field; the others of this name stay. Without it, it is the one value that there is.
        #[arg(long)]
        field: Option<String>,
    },
    /// Lists names and fields, no values.
    List,
    /// Deletes one.
    Delete {
        /// Its name.
        name: String,
    },
    /// Has the first master key wrap the keys of all: then those before are not needed any more.
    Rewrap,
}

/// Manages secrets.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    match act(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => console::fail(&message),
    }
}

fn act(arguments: Arguments) -> Result<(), String> {
    let told = |error: pointsman_store::StoreError| error.to_string();
    let mut config = SecretsConfig::default();
    config.store.key_files = arguments.key_files;
    config.azure.vault = arguments.azure_vault;
    if let Action::Key { wrapped_by } = arguments.action {
        let key = MasterKeys::generate().map_err(told)?;
        match wrapped_by {
            Some(by) => console::say(wrap_key(&by, &key, &config)?),
            None => console::say(key.expose_secret()),
        }
        return Ok(());
    }
    let store = Store::open(&arguments.database).map_err(told)?;
    let keys = || {
        let keys = MasterKeys::read(&config)?;
        keys.ok_or_else(|| "set POINTSMAN_MASTER_KEY, or give --master-key-file".to_owned())
    };
    let actor = Actor::local();
    match arguments.action {
        Action::Key { .. } => {}
        Action::Set { name, field } => {
            let keys = keys()?;
            let mut fields = match &field {
                Some(_) => store.open_secret(&name, &keys).map_err(told)?.unwrap_or_default(),
                None => SecretFields::new(),
            };
            fields.insert(field.unwrap_or_else(|| "value".to_owned()), value()?.into());
            store
                .put_secret(&actor, (&name, &fields), &keys, None)
                .map_err(told)?;
        }
        Action::List => {
            for secret in store.secrets("", MAX_ROWS).map_err(told)? {
                console::say(format!(
                    "{:<32} {} {}",
                    secret.name,
                    secret.master_key,
                    secret.fields.join(", ")
                ));
            }
        }
        Action::Delete { name } => store.delete_secret(&actor, &name, None).map_err(told)?,
        Action::Rewrap => {
            let wrapped = store.rewrap_secrets(&actor, &keys()?).map_err(told)?;
            console::say(format!(
                "{wrapped} secrets are wrapped by the first master key now"
            ));
        }
    }
    Ok(())
}

/// What comes over standard input, without the end of its line.
fn value() -> Result<String, String> {
    let mut text = String::new();
    let read = std::io::stdin().take(LONGEST + 1).read_to_string(&mut text);
    read.map_err(|error| format!("standard input: {error}"))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}
