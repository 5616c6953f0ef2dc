//! The admin listener: metrics, health and the admin API.
