//! Counters and histograms of the road, by surface, model and provider.
//!
//! Names follow the OpenTelemetry GenAI semantic conventions (v1.41) where these have one, in Prometheus' spelling.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use papaya::{Equivalent, HashMap};

use crate::cache::Caches;
use crate::checks::Checks;
use crate::exposition::Exposition;
use crate::guardrails::Guardrails;
use crate::histogram::Histogram;
use crate::record::RequestRecord;
use crate::secrets::Keepers;
use crate::shadows::{Judges, Shadows};
use crate::understanding::Understandings;

/// Series at most; what comes after is counted under `other`, so that no client can make the process grow.
const MAX_SERIES: usize = 2_000;

/// 10 µs to 5 s: the gateway's own time.
pub(crate) const OVERHEAD_US: &[u64] = &[
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000, 5_000_000,
];
/// 10 ms doubled up to 81.92 s, as the conventions have it.
pub(crate) const DURATION_US: &[u64] = &[
    10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 640_000, 1_280_000, 2_560_000, 5_120_000, 10_240_000,
    20_480_000, 40_960_000, 81_920_000,
];
/// Powers of four, as the conventions have it.
pub(crate) const TOKENS: &[u64] = &[
    1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864,
];

/// All metrics of the process.
#[derive(Debug, Default)]
pub struct Metrics {
    series: HashMap<Key, Arc<Series>, foldhash::fast::RandomState>,
    in_flight: AtomicI64,
    lost_log_lines: AtomicU64,
    lost_spans: AtomicU64,
    understandings: Understandings,
    caches: Caches,
    guardrails: Guardrails,
    checks: Checks,
    shadows: Shadows,
    judges: Judges,
    secrets: Keepers,
}

/// The labels of a series.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    surface: String,
    provider: String,
    model: String,
    outcome: &'static str,
    cache: &'static str,
}

/// The same, borrowed from a record.
#[derive(Clone, Copy)]
struct KeyRef<'a> {
    surface: &'a str,
    provider: &'a str,
    model: &'a str,
    outcome: &'static str,
    cache: &'static str,
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.surface, self.provider, self.model, self.outcome, self.cache).hash(state);
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrowed().hash(state);
    }
}

impl Key {
    fn borrowed(&self) -> KeyRef<'_> {
        KeyRef {
            surface: &self.surface,
            provider: &self.provider,
            model: &self.model,
            outcome: self.outcome,
            cache: self.cache,
        }
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.surface == key.surface
            && self.provider == key.provider
            && self.model == key.model
            && self.outcome == key.outcome
            && self.cache == key.cache
    }
}

#[derive(Debug)]
struct Series {
    requests: AtomicU64,
    attempts: AtomicU64,
    input: AtomicU64,
    output: AtomicU64,
    cache_read: AtomicU64,
    reasoning: AtomicU64,
    cost: AtomicI64,
    saved: AtomicI64,
    flags: AtomicU64,
    overhead: Histogram,
    duration: Histogram,
    first_content: Histogram,
    tokens_input: Histogram,
    tokens_output: Histogram,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            requests: AtomicU64::new(0),
            attempts: AtomicU64::new(0),
            input: AtomicU64::new(0),
            output: AtomicU64::new(0),
            cache_read: AtomicU64::new(0),
            reasoning: AtomicU64::new(0),
            cost: AtomicI64::new(0),
            saved: AtomicI64::new(0),
            flags: AtomicU64::new(0),
            overhead: Histogram::new(OVERHEAD_US),
            duration: Histogram::new(DURATION_US),
            first_content: Histogram::new(DURATION_US),
            tokens_input: Histogram::new(TOKENS),
            tokens_output: Histogram::new(TOKENS),
        }
    }
}

impl Metrics {
    /// Counts a settled request.
    pub fn record(&self, record: &RequestRecord<'_>) {
        let key = KeyRef {
            surface: record.surface,
            provider: record.provider.unwrap_or(""),
            model: record.model.unwrap_or(""),
            outcome: record.outcome,
            cache: record.cache,
        };
        self.series(key).count(record);
    }

    fn series(&self, key: KeyRef<'_>) -> Arc<Series> {
        let series = self.series.pin();
        if let Some(found) = series.get(&key) {
            return Arc::clone(found);
        }
        let full = series.len() >= MAX_SERIES;
        let other = |text: &str| if full { "other".to_owned() } else { text.to_owned() };
        let key = Key {
            surface: other(key.surface),
            provider: other(key.provider),
            model: other(key.model),
            outcome: key.outcome,
            cache: key.cache,
        };
        Arc::clone(series.get_or_insert_with(key, Arc::default))
    }

    /// A request has begun (+1) or ended (-1).
    pub fn in_flight(&self, change: i64) {
        self.in_flight.fetch_add(change, Ordering::Relaxed);
    }

    /// How answers are given again.
    #[must_use]
    pub fn caches(&self) -> &Caches {
        &self.caches
    }

    /// What guardrails do.
    #[must_use]
    pub fn guardrails(&self) -> &Guardrails {
        &self.guardrails
    }

    /// An answer was held against what its model was given, with one of the verdicts of `checks`.
    pub fn checked(&self, verdict: &str) {
        self.checks.checked(verdict);
    }

    /// Copies of requests to other models.
    #[must_use]
    pub fn shadows(&self) -> &Shadows {
        &self.shadows
    }

    /// Questions how good answers were.
    #[must_use]
    pub fn judges(&self) -> &Shadows {
        &self.judges.0
    }

    /// How managers of secrets have answered.
    #[must_use]
    pub fn secrets(&self) -> &Keepers {
        &self.secrets
    }

    /// How prompts are understood.
    #[must_use]
    pub fn understandings(&self) -> &Understandings {
        &self.understandings
    }

    /// What was asked of each provider, answers out of the cache left out: how many requests, and how many of them it did
    /// not answer.
    #[must_use]
    pub fn answered(&self) -> BTreeMap<String, (u64, u64)> {
        let mut all = BTreeMap::<String, (u64, u64)>::new();
        let guard = self.series.pin();
        for (key, series) in guard.iter() {
            if key.provider.is_empty() || !["complete", "provider_failed"].contains(&key.outcome) {
                continue;
            }
            let requests = series.requests.load(Ordering::Relaxed);
            let (sum, failed) = all.entry(key.provider.clone()).or_default();
            *sum += requests;
            if key.outcome == "provider_failed" {
                *failed += requests;
            }
        }
        all
    }

    /// How many answers each model of each provider gave, and the microseconds that they took together.
    #[must_use]
    pub fn paces(&self) -> BTreeMap<String, (u64, u64)> {
        let mut all = BTreeMap::<String, (u64, u64)>::new();
        let guard = self.series.pin();
        for (key, series) in guard.iter() {
            if key.provider.is_empty() || key.outcome != "complete" {
                continue;
            }
            let (_, count, took) = series.duration.snapshot();
            let (counts, sum) = all.entry(format!("{}/{}", key.provider, key.model)).or_default();
            *counts += count;
            *sum += took;
        }
        all
    }

    pub(crate) fn lost_log_line(&self) {
        self.lost_log_lines.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn lost_span(&self) {
        self.lost_spans.fetch_add(1, Ordering::Relaxed);
    }

    /// The metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        let guard = self.series.pin();
        let mut all: Vec<(&Key, &Arc<Series>)> = guard.iter().collect();
        all.sort_by(|(left, _), (right, _)| {
            (
                &left.surface,
                &left.provider,
                &left.model,
                left.outcome,
                left.cache,
            )
                .cmp(&(
                    &right.surface,
                    &right.provider,
                    &right.model,
                    right.outcome,
                    right.cache,
                ))
        });
        let mut out = Exposition::default();
        counters(&mut out, &all);
        histograms(&mut out, &all);
        self.understandings.render(&mut out);
        self.caches.render(&mut out);
        self.guardrails.render(&mut out);
        self.checks.render(&mut out);
        self.shadows.render(&mut out);
        self.judges.0.render(&mut out);
        self.secrets.render(&mut out);
        out.family(
            "pointsman_requests_in_flight",
            "gauge",
            "Requests on the road now.",
        );
        out.value(
            "pointsman_requests_in_flight",
            &[],
            self.in_flight.load(Ordering::Relaxed).max(0) as u64,
        );
        out.family(
            "pointsman_telemetry_lost_total",
            "counter",
            "Log lines and spans left out because a queue was full.",
        );
        out.value(
            "pointsman_telemetry_lost_total",
            &[("what", "log_line")],
            self.lost_log_lines.load(Ordering::Relaxed),
        );
        out.value(
            "pointsman_telemetry_lost_total",
            &[("what", "span")],
            self.lost_spans.load(Ordering::Relaxed),
        );
        out.finish()
    }
}

impl Series {
    fn count(&self, record: &RequestRecord<'_>) {
        let add = |counter: &AtomicU64, value: u64| {
            if value != 0 {
                counter.fetch_add(value, Ordering::Relaxed);
            }
        };
        add(&self.requests, 1);
        add(&self.attempts, u64::from(record.attempts));
        add(&self.input, record.input_tokens);
        add(&self.output, record.output_tokens);
        add(&self.cache_read, record.cache_read_tokens);
        add(&self.reasoning, record.reasoning_tokens);
        add(&self.flags, record.flags.len() as u64);
        self.cost.fetch_add(record.cost_nanodollars, Ordering::Relaxed);
        if record.saved_nanodollars != 0 {
            self.saved.fetch_add(record.saved_nanodollars, Ordering::Relaxed);
        }
        self.overhead.observe(record.overhead().as_micros() as u64);
        self.duration.observe(record.started.elapsed().as_micros() as u64);
        if let Some(first) = record.first_content.filter(|_| record.streamed) {
            self.first_content
                .observe(first.duration_since(record.started).as_micros() as u64);
        }
        if record.input_tokens + record.output_tokens > 0 {
            self.tokens_input.observe(record.input_tokens);
            self.tokens_output.observe(record.output_tokens);
        }
    }
}

type Value = fn(&Series) -> &AtomicU64;

type Amount = fn(&Series) -> &AtomicI64;

/// Money: name, help, nano-dollars.
const AMOUNTS: [(&str, &str, Amount); 2] = [
    ("pointsman_cost_usd_total", "What requests cost.", |series| {
        &series.cost
    }),
    (
        "pointsman_saved_usd_total",
        "What requests would have cost whose answers were remembered.",
        |series| &series.saved,
    ),
];

/// Plain counters: name, help, value.
const COUNTERS: [(&str, &str, Value); 7] = [
    ("pointsman_requests_total", "Settled requests.", |series| {
        &series.requests
    }),
    (
        "pointsman_attempts_total",
        "Times a provider was asked.",
        |series| &series.attempts,
    ),
    (
        "pointsman_input_tokens_total",
        "Prompt tokens, cached ones included.",
        |series| &series.input,
    ),
    (
        "pointsman_output_tokens_total",
        "Generated tokens, reasoning included.",
        |series| &series.output,
    ),
    (
        "pointsman_cache_read_tokens_total",
        "Prompt tokens read from providers' caches.",
        |series| &series.cache_read,
    ),
    (
        "pointsman_reasoning_tokens_total",
        "Reasoning tokens.",
        |series| &series.reasoning,
    ),
    (
        "pointsman_guardrail_flags_total",
        "Guardrail findings that did not block.",
        |series| &series.flags,
    ),
];

type Distribution = fn(&Series) -> &Histogram;

/// Histograms: name, help, value, scale.
const HISTOGRAMS: [(&str, &str, Distribution, f64); 3] = [
    (
        "pointsman_overhead_seconds",
        "The gateway's own time for a request.",
        |series| &series.overhead,
        1e-6,
    ),
    (
        "gen_ai_server_request_duration_seconds",
        "Time from request to settlement.",
        |series| &series.duration,
        1e-6,
    ),
    (
        "gen_ai_server_time_to_first_token_seconds",
        "Time to the first content of a stream.",
        |series| &series.first_content,
        1e-6,
    ),
];

fn labels(key: &Key) -> [(&str, &str); 5] {
    [
        ("surface", &key.surface),
        ("gen_ai_provider_name", &key.provider),
        ("gen_ai_request_model", &key.model),
        ("outcome", key.outcome),
        ("cache", key.cache),
    ]
}

fn counters(out: &mut Exposition, all: &[(&Key, &Arc<Series>)]) {
    for (name, help, value) in COUNTERS {
        out.family(name, "counter", help);
        for (key, series) in all {
            out.value(name, &labels(key), value(series).load(Ordering::Relaxed));
        }
    }
    for (name, help, amount) in AMOUNTS {
        out.family(name, "counter", help);
        for (key, series) in all {
            let nanodollars = amount(series).load(Ordering::Relaxed);
            out.fraction(name, &labels(key), nanodollars as f64 / 1e9);
        }
    }
}

fn histograms(out: &mut Exposition, all: &[(&Key, &Arc<Series>)]) {
    for (name, help, value, scale) in HISTOGRAMS {
        out.family(name, "histogram", help);
        for (key, series) in all {
            out.histogram(name, &labels(key), value(series), scale);
        }
    }
    let name = "gen_ai_client_token_usage";
    out.family(name, "histogram", "Tokens of a request.");
    for (key, series) in all {
        let base = labels(key);
        for (kind, histogram) in [("input", &series.tokens_input), ("output", &series.tokens_output)] {
            let mut with_kind = base.to_vec();
            with_kind.push(("gen_ai_token_type", kind));
            out.histogram(name, &with_kind, histogram, 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn record<'a>(model: &'a str) -> RequestRecord<'a> {
        RequestRecord {
            id: "req_1",
            surface: "/v1/chat/completions",
            key: "k",
            team: None,
            model_requested: "fast",
            provider: Some("openai"),
            provider_kind: Some("openai"),
            model: Some(model),
            decision: None,
            cache: "miss",
            outcome: "complete",
            status: 200,
            error: None,
            code: None,
            causes: &[],
            streamed: false,
            attempts: 1,
            input_tokens: 10,
            output_tokens: 5,
            cache_read_tokens: 0,
            reasoning_tokens: 0,
            usage_estimated: false,
            cost_nanodollars: 1_500_000_000,
            saved_nanodollars: 250_000_000,
            started: Instant::now(),
            waited: Duration::ZERO,
            first_content: None,
            flags: &[],
            losses: &[],
        }
    }

    #[test]
    fn what_is_recorded_is_rendered() {
        let metrics = Metrics::default();
        metrics.record(&record("m"));
        metrics.record(&record("m"));
        let text = metrics.render();
        let labels = "{surface=\"/v1/chat/completions\",gen_ai_provider_name=\"openai\",gen_ai_request_model=\"m\",outcome=\"complete\",cache=\"miss\"}";
        assert!(
            text.contains(&format!("pointsman_requests_total{labels} 2\n")),
            "{text}"
        );
        assert!(
            text.contains(&format!("pointsman_input_tokens_total{labels} 20\n")),
            "{text}"
        );
        assert!(
            text.contains(&format!("pointsman_cost_usd_total{labels} 3\n")),
            "{text}"
        );
        assert!(
            text.contains(&format!("pointsman_saved_usd_total{labels} 0.5\n")),
            "{text}"
        );
        assert!(
            text.contains(&format!("pointsman_overhead_seconds_count{labels} 2\n")),
            "{text}"
        );
    }

    #[test]
    fn series_are_bounded() {
        let metrics = Metrics::default();
        for number in 0..MAX_SERIES + 500 {
            metrics.record(&record(&format!("model-{number}")));
        }
        let text = metrics.render();
        assert!(text.contains("gen_ai_request_model=\"other\""));
        assert!(metrics.series.len() <= MAX_SERIES + 1);
    }
}
