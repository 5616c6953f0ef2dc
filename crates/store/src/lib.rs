//! What lasts: keys, usage, the ledger and its journal.
//!
//! Requests never wait for the database: keys are read into memory by `governance`, and usage goes through the
//! [`journal`](Journal), from which a thread of its own carries it into the database.

mod id;
mod journal;
mod key;
mod ledger;
mod segment;
mod sqlite;
mod state;

pub use id::{KeyId, RequestId, TeamId, UserId};
pub use journal::{Journal, JournalError, JournalWriter};
pub use key::{Budget, BudgetWindow, KeyRecord, NewKey, aws_secret, hash_key};
pub use ledger::{LedgerEntry, Outcome};
pub use sqlite::{LedgerFilter, Store, StoreError, UsageRow};
pub use state::{
    Conversation, HistoryError, KeptEvent, KeptResponse, MAX_CONVERSATION_ITEMS, StateItem, StateStore,
    Unfinished,
};
