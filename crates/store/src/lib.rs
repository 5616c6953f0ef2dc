//! What lasts: keys, usage, the ledger and its journal.
