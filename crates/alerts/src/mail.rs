//! E-mail.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::{SmtpTransport, Transport};
use url::{Host, Url};

use crate::alert::Alert;
use crate::config::EmailConfig;

/// How long a server may take for one step.
const PATIENCE: Duration = Duration::from_secs(10);

/// Somebody who is told by e-mail.
pub(crate) struct Mail {
    transport: SmtpTransport,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Mail {
    /// What a configuration says, which was checked.
    pub(crate) fn new(config: &EmailConfig) -> Result<Self, String> {
        let read = |address: &String| address.parse::<Mailbox>().map_err(|_| "is no address".to_owned());
        Ok(Self {
            transport: transport(config.smtp.expose())?,
            from: read(&config.from)?,
            to: config.to.iter().map(read).collect::<Result<_, _>>()?,
        })
    }

    /// Sends it; what goes wrong is told without anything of the server's URL.
    pub(crate) async fn send(&self, alert: &Alert) -> Result<(), String> {
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(alert.title())
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            message = message.to(to.clone());
        }
        let message = message.body(body(alert)).map_err(|error| error.to_string())?;
        let transport = self.transport.clone();
        // Each step is bounded, so that the thread comes back.
        let sent = tokio::task::spawn_blocking(move || transport.send(&message)).await;
        match sent {
            Ok(sent) => sent.map(drop).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn body(alert: &Alert) -> String {
    let mut text = format!("{}\n", alert.text);
    if !alert.facts.is_empty() {
        text.push('\n');
    }
    for (name, value) in &alert.facts {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text.push_str(&format!("\n{}\n", alert.at));
    text
}

/// The way to the server of a URL. What is said of it holds nothing of it: it may have a password.
pub(crate) fn transport(url: &str) -> Result<SmtpTransport, String> {
    let parsed = Url::parse(url).map_err(|_| "is no URL; write it like smtps://USER:PASSWORD@HOST")?;
    let host = parsed.host().ok_or("is a URL without a host")?;
    let is_here = match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    } || matches!(parsed.host_str(), Some("127.0.0.1" | "[::1]"));
    let tls = parsed.query_pairs().find(|(name, _)| name == "tls");
    let tls = tls.map(|(_, value)| value.into_owned());
    match (parsed.scheme(), tls.as_deref()) {
        ("smtps", _) | ("smtp", Some("required")) => {}
        ("smtp", None) if is_here => {}
        ("smtp", _) => {
            return Err(
                "is not encrypted: use smtps://, or smtp:// with ?tls=required where the server begins in the clear"
                    .to_owned(),
            );
        }
        _ => return Err("must begin with smtps:// or smtp://".to_owned()),
    }
    let built = SmtpTransport::from_url(url).map_err(|_| "cannot be used: its parameters make no sense")?;
    Ok(built.timeout(Some(PATIENCE)).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_in_the_clear_to_another_machine() {
        for good in [
            "smtps://u:p@mail.example.com",
            "smtp://u:p@mail.example.com:587?tls=required",
            "smtp://127.0.0.1:2525",
            "smtp://localhost",
        ] {
            assert!(transport(good).is_ok(), "{good}");
        }
        for wrong in [
            "smtp://u:p4ss@mail.example.com",
            "smtp://u:p4ss@mail.example.com?tls=opportunistic",
            "http://u:p4ss@mail.example.com",
            "mail.example.com",
        ] {
            let told = transport(wrong).err().unwrap();
            assert!(!told.contains("p4ss"), "{told}");
        }
    }
}
