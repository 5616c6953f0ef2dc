//! A service of a model that is loaded when it is first asked, away from the threads that serve requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_semantics::service::{Counts, Reader, Refused, Service, Settings};
use tokio::sync::OnceCell;

use crate::failed::Failed;

type Load<R> = dyn Fn() -> Result<R, Failed> + Send + Sync;

/// A service that is not there until it is asked.
pub struct Lazy<R: Reader> {
    name: String,
    settings: Settings,
    load: Arc<Load<R>>,
    running: OnceCell<Arc<Running<R>>>,
}

/// A service that runs.
pub struct Running<R: Reader> {
    /// Gone only while it is dropped.
    service: Option<Service<R>>,
    /// What was loaded.
    pub reader: Arc<R>,
    /// How long loading took.
    pub loaded_in: Duration,
}

/// Shared with those who want to know what was loaded.
pub struct Shared<R>(pub Arc<R>);

impl<R: Reader> Reader for Shared<R> {
    type Question = R::Question;
    type Reading = R::Reading;
    type Room = R::Room;

    fn read(&self, texts: &[(&str, &Self::Question)], room: &mut Self::Room) -> Vec<Self::Reading> {
        self.0.read(texts, room)
    }
}

impl<R: Reader> Lazy<Shared<R>> {
    /// Loads with `load` when it is first asked. A failure is not kept: the next one who asks tries again.
    pub fn new(
        name: &str,
        settings: Settings,
        load: impl Fn() -> Result<R, Failed> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            settings,
            load: Arc::new(move || load().map(|reader| Shared(Arc::new(reader)))),
            running: OnceCell::new(),
        }
    }
}

impl<R: Reader> Lazy<Shared<R>> {
    /// The service; loaded now, if it was not before.
    ///
    /// # Errors
    ///
    /// If it can't be loaded.
    pub async fn get(&self) -> Result<&Running<Shared<R>>, Failed> {
        let running = self.running.get_or_try_init(|| async {
            let (load, settings, name) = (Arc::clone(&self.load), self.settings, self.name.clone());
            let started = tokio::task::spawn_blocking(move || {
                let begun = Instant::now();
                let reader = load()?;
                let shared = Arc::new(Shared(Arc::clone(&reader.0)));
                let service = Service::start(reader, settings).map_err(|error| Failed::Load {
                    name: name.clone(),
                    problem: format!("no thread: {error}"),
                })?;
                tracing::info!(
                    model = name,
                    milliseconds = begun.elapsed().as_millis() as u64,
                    "loaded"
                );
                Ok(Arc::new(Running {
                    service: Some(service),
                    reader: shared,
                    loaded_in: begun.elapsed(),
                }))
            });
            started.await.unwrap_or_else(|_| {
                Err(Failed::Load {
                    name: self.name.clone(),
                    problem: "loading was cut off".to_owned(),
                })
            })
        });
        Ok(&**running.await?)
    }

    /// The service, if it was loaded.
    pub fn loaded(&self) -> Option<&Running<Shared<R>>> {
        self.running.get().map(|running| &**running)
    }
}

impl<R: Reader> Running<R> {
    /// Asks.
    ///
    /// # Errors
    ///
    /// As [`Service::read`].
    pub async fn read(
        &self,
        text: Arc<str>,
        question: R::Question,
        patience: Duration,
    ) -> Result<Arc<R::Reading>, Failed> {
        let Some(service) = &self.service else {
            return Err(Refused::Stopped.into());
        };
        // One text may take longer to read than anybody waits for it.
        match tokio::time::timeout(patience, service.read(text, question, patience)).await {
            Ok(read) => Ok(read?),
            Err(_) => Err(Refused::Late.into()),
        }
    }

    /// Counts since it was loaded, and texts that wait now.
    pub fn counts(&self) -> (Counts, usize) {
        let service = self.service.as_ref();
        service.map_or_else(Default::default, |service| (service.counts(), service.waiting()))
    }
}

impl<R: Reader> Drop for Running<R> {
    fn drop(&mut self) {
        // Its threads finish what they are at, and whoever drops it may serve requests meanwhile.
        if let Some(service) = self.service.take()
            && let Err(error) = std::thread::Builder::new()
                .name("semantics-end".to_owned())
                .spawn(move || drop(service))
        {
            tracing::warn!(%error, "no thread to wait for those that read; this one waited");
        }
    }
}
