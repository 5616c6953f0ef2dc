//! Signals, projections, decisions: from a prompt to the model that serves it.
