//! OpenAI text completions (API reference, "Completions"), for the many servers and tools that still speak them.

pub mod request;
pub mod response;
pub mod stream;
