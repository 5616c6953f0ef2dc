//! Simulated providers that a real SDK cannot tell from the originals, faults on demand, and a load generator.
