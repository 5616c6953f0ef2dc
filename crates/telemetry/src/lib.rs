//! Metrics, traces and the access log.
//!
//! The road hands over one [`RequestRecord`] when a request is settled; everything here is made of it. Recording
//! takes no lock that requests share and waits for nobody: counters are atomics, lines and spans go to their own
//! thread through a bounded queue, and what does not fit is counted and left out.
//!
//! This crate must not know formats, prompts or secrets: a record has no field that could carry one.

mod access_log;
mod cache;
mod checks;
mod config;
mod exposition;
mod guardrails;
mod histogram;
mod metrics;
mod otlp;
mod record;
mod secrets;
mod shadows;
mod understanding;

use std::sync::Arc;
use std::time::Duration;

pub use access_log::AccessLog;
pub use cache::Caches;
pub use config::{AccessLogFormat, TelemetryConfig};
pub use guardrails::{Guardrails, breakers};
pub use metrics::Metrics;
pub use otlp::OtlpError;
pub use record::{OwnedRecord, RequestRecord};
pub use secrets::Keepers;
pub use shadows::Shadows;
pub use understanding::Understandings;

/// Longest wait for standard output to take the rest of the access log.
const FLUSH_LOG: Duration = Duration::from_secs(2);

/// Everything that watches the road.
pub struct Telemetry {
    metrics: Metrics,
    access_log: Option<AccessLog>,
    otlp: Option<otlp::Otlp>,
}

impl Telemetry {
    /// Starts what the configuration asks for.
    ///
    /// # Errors
    /// When the OTLP exporter cannot be built (a malformed address), or a thread cannot be started.
    pub fn start(config: &TelemetryConfig) -> Result<Arc<Self>, OtlpError> {
        let access_log = AccessLog::start(config.access_log)?;
        let otlp = config.otlp.as_deref().map(otlp::Otlp::start).transpose()?;
        Ok(Arc::new(Self {
            metrics: Metrics::default(),
            access_log,
            otlp,
        }))
    }

    /// Notes a settled request.
    pub fn record(&self, record: &RequestRecord<'_>) {
        self.metrics.record(record);
        if self.access_log.is_none() && self.otlp.is_none() {
            return;
        }
        let owned = Arc::new(OwnedRecord::from(record));
        if let Some(log) = &self.access_log
            && !log.offer(Arc::clone(&owned))
        {
            self.metrics.lost_log_line();
        }
        if let Some(otlp) = &self.otlp
            && !otlp.offer(owned)
        {
            self.metrics.lost_span();
        }
    }

    /// Waits until what is queued has been written and exported, as long as that may take at most. Blocks.
    pub fn flush(&self) {
        if let Some(log) = &self.access_log {
            log.flush(FLUSH_LOG);
        }
        if let Some(otlp) = &self.otlp {
            otlp.flush();
        }
    }

    /// The metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.metrics.render()
    }

    /// The counters themselves, for gauges that others set.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}
