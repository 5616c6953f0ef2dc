//! Providers, models, capabilities and prices as data: looking up and pricing.
