//! An HTTP/1.1 connection in the hands of one request, which moves it itself.
//!
//! A task of its own for each connection would be woken for every piece that comes, and wake the request in turn; and
//! each piece would be handed on, and written to the client, alone. So whoever waits for an answer polls its
//! connection on the way, and takes all that has come.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::{TrySendError, http1};

use super::Outgoing;

/// What moves a connection: ready once the connection has ended.
pub(super) type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// An HTTP/1.1 connection. Nothing happens on it but while it is polled; dropped, it is closed.
pub(crate) struct Exclusive {
    sender: http1::SendRequest<Full<Bytes>>,
    /// Gone once the connection has ended.
    driver: Option<Driver>,
}

impl Exclusive {
    pub(super) fn new(sender: http1::SendRequest<Full<Bytes>>, driver: Driver) -> Self {
        Self {
            sender,
            driver: Some(driver),
        }
    }

    /// The connection for one request and no more, moved by a task of its own.
    pub(super) fn released(self) -> http1::SendRequest<Full<Bytes>> {
        if let Some(driver) = self.driver {
            tokio::spawn(async move {
                if let Err(error) = driver.await {
                    tracing::debug!(%error, "HTTP/1.1 connection ended");
                }
            });
        }
        self.sender
    }

    /// Writes and reads what can be, without waiting.
    pub(super) fn settle(&mut self) {
        self.drive(&mut Context::from_waker(Waker::noop()));
    }

    /// Whether it may serve a request, as far as it was moved.
    pub(super) fn is_ready(&self) -> bool {
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Whether it will never serve one, as far as it was moved.
    pub(super) fn is_closed(&self) -> bool {
        self.driver.is_none() || self.sender.is_closed()
    }

    /// Sends the request and waits for the response head.
    pub(super) async fn send(
        &mut self,
        request: Outgoing,
    ) -> Result<Response<Incoming>, TrySendError<Outgoing>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let driver = &mut self.driver;
        poll_fn(|context| {
            drive(driver, context);
            // It comes from the driver alone, which is the one that is to be woken.
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        })
        .await
    }

    /// The next frame of the answer's body.
    pub(crate) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let mut unwoken = Context::from_waker(Waker::noop());
        let there = Pin::new(&mut *incoming).poll_frame(&mut unwoken);
        if there.is_ready() {
            return there;
        }
        // First without a waker: a frame that is taken would wake us to look for the next, and we look anyway.
        self.settle();
        let there = Pin::new(&mut *incoming).poll_frame(&mut unwoken);
        if there.is_ready() {
            return there;
        }
        self.drive(context);
        Pin::new(incoming).poll_frame(&mut unwoken)
    }

    fn drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.driver, context);
    }
}

fn drive(driver: &mut Option<Driver>, context: &mut Context<'_>) {
    let Some(running) = driver else { return };
    if let Poll::Ready(ended) = running.as_mut().poll(context) {
        if let Err(error) = ended {
            tracing::debug!(%error, "HTTP/1.1 connection ended");
        }
        // What waits for the answer learns of it from what is dropped here.
        *driver = None;
    }
}
