//! Answers worth giving again: the exact cache.
