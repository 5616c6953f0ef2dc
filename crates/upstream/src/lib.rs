//! Reaching providers: HTTP client, credentials, endpoints, health, balancing.
