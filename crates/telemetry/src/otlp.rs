//! OpenTelemetry over OTLP/gRPC: one span and its measurements for each request to a model.
//!
//! Exporting happens on a thread with a
//! runtime of its own; when the collector is slow or away, records are left out and counted, never waited for.

mod conventions;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, MeterProvider};
use opentelemetry::trace::{Span, SpanKind, Status, Tracer, TracerProvider};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::sync::mpsc;

use crate::record::OwnedRecord;

/// Records that wait to be exported.
const QUEUE: usize = 8_192;
/// Longest wait for the collector.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why exporting could not be started.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// The exporter does not like its address.
    #[error("telemetry.otlp: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// A thread could not be started.
    #[error("a telemetry thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// The exporter's queue.
pub struct Otlp {
    records: mpsc::Sender<Message>,
}

enum Message {
    Record(Arc<OwnedRecord>),
    /// All before this has been exported, or was lost: says so.
    Flush(crossbeam_channel::Sender<()>),
}

impl Otlp {
    /// Starts exporting to `endpoint`.
    ///
    /// # Errors
    /// When the address is malformed or the thread cannot be started.
    pub fn start(endpoint: &str) -> Result<Self, OtlpError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()?;
        let inside = runtime.enter();
        let spans = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let metrics = MetricExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let resource = Resource::builder()
            .with_service_name("pointsman")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let tracers = SdkTracerProvider::builder()
            .with_batch_exporter(spans)
            .with_resource(resource.clone())
            .build();
        let reader = PeriodicReader::builder(metrics)
            .with_interval(Duration::from_secs(10))
            .build();
        let meters = SdkMeterProvider::builder()
            .with_reader(reader)
            .with_resource(resource)
            .build();
        drop(inside);
        let (records, receiver) = mpsc::channel(QUEUE);
        // Ends when the last sender is gone, after a last flush.
        thread::Builder::new()
            .name("otlp-queue".to_owned())
            .spawn(move || runtime.block_on(export(receiver, tracers, meters)))?;
        Ok(Self { records })
    }

    /// Queues a record; false when the queue is full and the record is lost.
    pub fn offer(&self, record: Arc<OwnedRecord>) -> bool {
        !matches!(
            self.records.try_send(Message::Record(record)),
            Err(mpsc::error::TrySendError::Full(_))
        )
    }

    /// Waits until what is queued has been exported, or the collector has had its time. Blocks.
    pub fn flush(&self) {
        let (done, exported) = crossbeam_channel::bounded(1);
        if self.records.try_send(Message::Flush(done)).is_ok() {
            let _ = exported.recv_timeout(EXPORT_TIMEOUT);
        }
    }
}

async fn export(mut records: mpsc::Receiver<Message>, tracers: SdkTracerProvider, meters: SdkMeterProvider) {
    let tracer = tracers.tracer("pointsman");
    let instruments = Instruments::new(&meters);
    while let Some(message) = records.recv().await {
        match message {
            Message::Record(record) => {
                if let Some(operation) = conventions::operation(&record.surface) {
                    span(&tracer, &record, operation);
                    instruments.record(&record, operation);
                }
            }
            Message::Flush(done) => {
                let (tracers, meters) = (tracers.clone(), meters.clone());
                // What a collector that is away does not take is lost; it has been logged.
                let flush = move || drop((tracers.force_flush(), meters.force_flush()));
                let _ = tokio::task::spawn_blocking(flush).await;
                let _ = done.try_send(());
            }
        }
    }
    // The last sender is gone.
    let _ = tokio::task::spawn_blocking(move || (tracers.shutdown(), meters.shutdown())).await;
}

struct Instruments {
    duration: Histogram<f64>,
    first_token: Histogram<f64>,
    tokens: Histogram<u64>,
    overhead: Histogram<f64>,
}

impl Instruments {
    fn new(meters: &SdkMeterProvider) -> Self {
        let meter = meters.meter("pointsman");
        let seconds = |name: &'static str| meter.f64_histogram(name).with_unit("s");
        Self {
            duration: seconds("gen_ai.client.operation.duration")
                .with_boundaries(conventions::durations())
                .build(),
            first_token: seconds("gen_ai.client.operation.time_to_first_chunk")
                .with_boundaries(conventions::durations())
                .build(),
            tokens: meter
                .u64_histogram("gen_ai.client.token.usage")
                .with_unit("{token}")
                .with_boundaries(conventions::tokens())
                .build(),
            overhead: seconds("pointsman.overhead")
                .with_boundaries(conventions::overheads())
                .build(),
        }
    }

    fn record(&self, record: &OwnedRecord, operation: &'static str) {
        let mut labels = conventions::labels(record, operation);
        self.overhead.record(seconds(record.overhead_us), &labels);
        if let Some(first) = record.ttft_us.filter(|_| record.streamed) {
            self.first_token.record(seconds(first), &labels);
        }
        // The conventions want what is known, not what was guessed.
        let known = !record.usage_estimated;
        for (kind, tokens) in [("input", record.input_tokens), ("output", record.output_tokens)] {
            if known && tokens > 0 {
                let mut labels = labels.clone();
                labels.push(KeyValue::new("gen_ai.token.type", kind));
                self.tokens.record(tokens, &labels);
            }
        }
        labels.extend(conventions::error(record));
        self.duration.record(seconds(record.latency_us), &labels);
    }
}

fn span(tracer: &SdkTracer, record: &OwnedRecord, operation: &'static str) {
    let mut span = tracer
        .span_builder(conventions::span_name(record, operation))
        .with_kind(SpanKind::Client)
        .with_start_time(record.begun)
        .with_attributes(conventions::attributes(record, operation))
        .start(tracer);
    if let Some(error) = record.error {
        span.set_status(Status::error(error));
    }
    span.end_with_timestamp(record.ended);
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
