//! Token counts as Cohere v2 chat tells them.
