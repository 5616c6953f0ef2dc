//! The road: listeners, surfaces, the pipeline.
