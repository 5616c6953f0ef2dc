//! Understanding text on this machine's CPU: tokens and language.
