//! The formats: one internal form, and for each wire format its request, response and stream.
