//! Carrying alerts to receivers: each has a queue and a task of its own, so that one that does not answer keeps nobody
//! waiting.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pointsman_upstream::config::Secret;
use pointsman_upstream::{Client, ClientOptions, FetchBounds};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use url::Url;

use crate::alert::Alert;
use crate::config::{AlertsConfig, ReceiverConfig};
use crate::mail::Mail;

/// Alerts that wait for a receiver, at most.
const WAITING: usize = 256;
/// How long a receiver may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer, which nobody reads.
const ANSWER: usize = 64 * 1024;
/// How long it rests after each attempt that failed; then it is given up.
const RESTS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
];
/// How long alerts may take that wait when everything stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// A receiver that cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("alerts.receivers.{receiver}: {problem}")]
pub struct PostError {
    /// Its name.
    receiver: String,
    /// Why.
    problem: String,
}

/// All receivers.
pub struct Post {
    config: AlertsConfig,
    receivers: BTreeMap<String, (mpsc::Sender<Alert>, JoinHandle<()>)>,
}

/// How somebody is told.
enum Way {
    Webhook(Hook),
    Slack(Hook),
    Mail(Box<Mail>),
}

/// A URL that is posted to.
struct Hook {
    client: Client,
    url: Secret,
    headers: HeaderMap,
    bounds: FetchBounds,
}

/// Why an attempt came to nothing.
enum Missed {
    /// It may go well next time.
    Passing(String),
    /// It will not.
    Final(String),
}

impl Post {
    /// Starts a task for each receiver, on the runtime that this is called on.
    ///
    /// # Errors
    /// When a receiver cannot be told in the way that is configured.
    pub fn start(config: &AlertsConfig, options: &ClientOptions) -> Result<Self, PostError> {
        let mut receivers = BTreeMap::new();
        for (name, receiver) in &config.receivers {
            let way = way(receiver, options).map_err(|problem| PostError {
                receiver: name.clone(),
                problem,
            })?;
            let (tell, told) = mpsc::channel(WAITING);
            let task = tokio::spawn(carry(name.clone(), way, told));
            receivers.insert(name.clone(), (tell, task));
        }
        Ok(Self {
            config: config.clone(),
            receivers,
        })
    }

    /// Hands an alert to all who are told of its kind; waits for nobody.
    pub fn send(&self, alert: &Alert) {
        let Some(to) = self.config.to(alert.kind) else {
            return;
        };
        for (name, (tell, _)) in &self.receivers {
            if (to.is_empty() || to.contains(name)) && tell.try_send(alert.clone()).is_err() {
                tracing::error!(receiver = %name, alert = %alert.title(), "too many alerts wait for this receiver; one is not told");
            }
        }
    }

    /// Lets what waits be told, for a moment, and ends all tasks.
    pub async fn stop(self) {
        let until = tokio::time::Instant::now() + FAREWELL;
        // Nobody hands anything in any more.
        let tasks: Vec<_> = self.receivers.into_values().map(|(_, task)| task).collect();
        for mut task in tasks {
            if tokio::time::timeout_at(until, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

fn way(receiver: &ReceiverConfig, options: &ClientOptions) -> Result<Way, String> {
    let ReceiverConfig {
        webhook,
        slack,
        email,
    } = receiver;
    match (webhook, slack, email) {
        (Some(webhook), None, None) => {
            let mut headers = HeaderMap::new();
            for (name, value) in &webhook.headers {
                let header = HeaderName::from_bytes(name.as_bytes()).ok();
                let (Some(header), Ok(mut value)) = (header, HeaderValue::from_str(value.expose())) else {
                    return Err(format!("webhook.headers.{name} is no header"));
                };
                value.set_sensitive(true);
                headers.insert(header, value);
            }
            Ok(Way::Webhook(hook(
                options,
                &webhook.url,
                webhook.private,
                headers,
            )))
        }
        (None, Some(slack), None) => Ok(Way::Slack(hook(
            options,
            &slack.url,
            slack.private,
            HeaderMap::new(),
        ))),
        (None, None, Some(email)) => Ok(Way::Mail(Box::new(Mail::new(email)?))),
        _ => Err("needs one of webhook, slack and email".to_owned()),
    }
}

fn hook(options: &ClientOptions, url: &Secret, private: bool, mut headers: HeaderMap) -> Hook {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let host = Url::parse(url.expose())
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    Hook {
        client: Client::new(options.clone()),
        url: url.clone(),
        headers,
        bounds: FetchBounds {
            max_bytes: ANSWER,
            timeout: PATIENCE,
            plain_http: private,
            private_hosts: host.filter(|_| private).into_iter().collect(),
        },
    }
}

/// Tells one receiver of one alert after the other, until nobody hands any in.
async fn carry(name: String, way: Way, mut told: mpsc::Receiver<Alert>) {
    while let Some(alert) = told.recv().await {
        let mut rests = RESTS.iter();
        let missed = loop {
            match way.tell(&alert).await {
                Ok(()) => break None,
                Err(Missed::Final(why)) => break Some(why),
                Err(Missed::Passing(why)) => match rests.next() {
                    Some(rest) => tokio::time::sleep(*rest).await,
                    None => break Some(why),
                },
            }
        };
        match missed {
            None => {
                tracing::info!(receiver = %name, kind = alert.kind.as_str(), subject = %alert.subject, "an alert was told");
            }
            Some(why) => {
                tracing::error!(receiver = %name, kind = alert.kind.as_str(), subject = %alert.subject, %why, "an alert could not be told");
            }
        }
    }
}

impl Way {
    async fn tell(&self, alert: &Alert) -> Result<(), Missed> {
        match self {
            Self::Webhook(hook) => hook.post(json!(alert).to_string()).await,
            Self::Slack(hook) => hook.post(json!({ "text": slack(alert) }).to_string()).await,
            Self::Mail(mail) => mail.send(alert).await.map_err(Missed::Passing),
        }
    }
}

impl Hook {
    async fn post(&self, body: String) -> Result<(), Missed> {
        let sent = (self.headers.clone(), Bytes::from(body));
        match self.client.deliver(self.url.expose(), sent, &self.bounds).await {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => {
                let why = format!("it answered {}", status.as_u16());
                let passes = status.is_server_error()
                    || matches!(
                        status,
                        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
                    );
                Err(if passes {
                    Missed::Passing(why)
                } else {
                    Missed::Final(why)
                })
            }
            Err(error) => Err(Missed::Passing(error.to_string())),
        }
    }
}

/// As Slack writes text: three letters are escaped.
fn slack(alert: &Alert) -> String {
    let escaped = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
    };
    format!("*{}*\n{}", escaped(&alert.title()), escaped(&alert.text))
}
