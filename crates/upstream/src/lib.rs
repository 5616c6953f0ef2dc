//! Reaching providers: HTTP client, credentials, secrets that are kept elsewhere, endpoints, health, balancing.
//!
//! One [`Client`] a worker thread sends requests to an [`Endpoint`] and hands back the response with its body still
//! arriving. Around it are the decisions that need no network and are plain functions over plain data: which
//! endpoint ([`balance`]), whether it is well ([`breaker`]), whether and when to try again ([`retry`]).
//!
//! Two kinds of state, kept apart on purpose: connections belong to one worker and are never shared; the health and
//! load of an endpoint are shared by all workers, as atomics, and outlive a configuration ([`EndpointRegistry`]).
//!
//! This crate must not know wire formats, models, prices or tenants: to it a request is headers and bytes.

pub mod balance;
pub mod body;
pub mod breaker;
pub mod client;
mod clock;
pub mod config;
pub mod credential;
pub mod endpoint;
pub mod error;
pub mod failure;
mod latency;
pub mod proxy;
pub mod retry;
pub mod secrets;
pub mod timeouts;
mod window;

pub use balance::{Candidate, Policy, TriedSet, pick};
pub use body::{BodyError, UpstreamBody};
pub use client::{Client, ClientOptions, FetchBounds, FetchError, Fetched, Upgrade};
pub use config::{
    AuthConfig, BalanceConfig, ConfigError, EndpointConfig, HealthConfig, HumanDuration, Passthrough,
    RetryConfig, TimeoutsConfig, UpstreamConfig,
};
pub use credential::{
    AuthStyle, Authorized, Credential, CredentialError, CredentialErrorKind, CredentialRegistry, Environment,
    LetIn, PresentedSignature, Proof, Redeemed, SignatureError, SignedRequest, TokenRequest, fetch_document,
    fetch_with_token, introspect, redeem_code, register_client, request_token, revoke_token,
};
pub use endpoint::{Endpoint, EndpointRegistry, InFlight, Outcome};
pub use error::{Phase, SendError, SendErrorKind};
pub use failure::Failure;
pub use retry::{Backoff, RetryBudget, RetryPolicy, parse_retry_after};
pub use secrets::{Secrets, SecretsSession};
pub use timeouts::Timeouts;
