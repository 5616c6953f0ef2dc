//! The URL of a database: `postgres://USER:PASSWORD@HOST:PORT/NAME`, several hosts separated by commas, and what follows
//! the question mark.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::tls::{self, Tls};
use crate::store::StoreError;

/// Connections at once, where the URL does not say.
const CONNECTIONS: usize = 8;
/// Connections at once, at most.
const MAX_CONNECTIONS: usize = 256;
/// How long a server may take until it is connected to.
const CONNECT: Duration = Duration::from_secs(5);
/// What was sent must be acknowledged within this time, or the connection is dead.
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);

/// Where a database is, and how it is spoken to.
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: Tls,
    /// Connections at once.
    pub(super) connections: usize,
}

/// Whether a URL is one of PostgreSQL.
pub(crate) fn is_url(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

fn wrong(why: impl std::fmt::Display) -> StoreError {
    StoreError::Invalid(format!("the URL of the PostgreSQL database: {why}"))
}

/// What a URL says. No error tells more of it than the name of a parameter: the rest may be a password.
pub(super) fn read(url: &str) -> Result<Address, StoreError> {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut rest, mut connections, mut mode, mut roots) = (Vec::new(), CONNECTIONS, None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "connections" => {
                let count = value.parse::<usize>().ok();
                connections = count
                    .filter(|count| (2..=MAX_CONNECTIONS).contains(count))
                    .ok_or_else(|| wrong(format!("connections must be between 2 and {MAX_CONNECTIONS}")))?;
            }
            "sslmode" => mode = Some(value),
            "sslrootcert" => {
                let path = url::form_urlencoded::parse(pair.as_bytes()).next();
                roots = path.map(|(_, path)| PathBuf::from(&*path));
            }
            _ => rest.push(pair),
        }
    }
    let plain = match (place, rest.is_empty()) {
        (place, true) => place.to_owned(),
        (place, false) => format!("{place}?{}", rest.join("&")),
    };
    let mut config = Config::from_str(&plain).map_err(|error| {
        let what = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        wrong(what)
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(wrong("it names no host"));
    }
    let encrypted = match mode {
        None => config.get_hosts().iter().any(|host| !is_here(host)),
        Some("disable") => false,
        // Whoever asks for TLS is to know whom they speak to: there is no mode that encrypts for anybody.
        Some("require" | "verify-ca" | "verify-full") => true,
        Some(_) => {
            return Err(wrong(
                "sslmode is disable, or verify-full; there is nothing in between that protects the password",
            ));
        }
    };
    config
        .ssl_mode(if encrypted {
            SslMode::Require
        } else {
            SslMode::Disable
        })
        .connect_timeout(CONNECT)
        .tcp_user_timeout(UNACKNOWLEDGED)
        .keepalives_idle(Duration::from_secs(30));
    if config.get_application_name().is_none() {
        config.application_name("pointsman");
    }
    Ok(Address {
        config,
        tls: tls::verified(roots.as_deref())?,
        connections,
    })
}

/// Whether a server is on this machine, where nobody listens in between.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        Host::Unix(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        read(url).unwrap().config.get_ssl_mode()
    }

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear_unless_that_is_asked_for() {
        for (url, expected) in [
            ("postgres://me@127.0.0.1/p", SslMode::Disable),
            ("postgresql://me@localhost:5433/p", SslMode::Disable),
            ("postgres://me:secret@db.example.com/p", SslMode::Require),
            ("postgres://me@localhost,db.example.com/p", SslMode::Require),
            ("postgres://me@db.example.com/p?sslmode=disable", SslMode::Disable),
            (
                "postgres://me@localhost/p?sslmode=verify-full&connections=3",
                SslMode::Require,
            ),
        ] {
            assert_eq!(mode(url), expected, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for url in [
            "postgres://me:hunter22@db:port/p",
            "postgres://me:hunter22@db/p?sslmode=prefer",
            "postgres://me:hunter22@db/p?connections=0",
            "postgres://me:hunter22@db/p?colour=red",
            "postgres://me:hunter22@db/p?sslrootcert=/nowhere/ca.pem",
            "postgres://",
        ] {
            let error = read(url).err().unwrap().to_string();
            assert!(
                !error.contains("hunter22") && error.contains("PostgreSQL"),
                "{url}: {error}"
            );
        }
    }
}
