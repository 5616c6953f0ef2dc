//! What lasts: keys, usage, the ledger and its journal, files and batches.
//!
//! Requests never wait for the database: keys are read into memory by `governance`, and usage goes through the
//! [`journal`](Journal), from which a thread of its own carries it into the database.

pub mod blob;

mod batch;
mod collection;
mod credential;
mod directory;
mod file;
mod holder;
mod id;
mod journal;
mod key;
mod ledger;
mod memory;
mod network;
mod once;
mod page;
mod postgres;
mod priority;
mod replica;
mod results;
mod role;
mod routed;
mod row;
mod secret;
mod segment;
mod shared;
mod sqlite;
mod state;
mod store;
mod terms;
mod window;

pub use batch::{Batch, BatchApi, BatchStatus, Counts, Ended, NewBatch};
pub use collection::{Collection, CollectionFile, Passage};
pub use credential::{Credential, CredentialKind, SignIn};
pub use directory::{DirectoryEntry, DirectoryKind};
pub use file::{FileRecord, NewFile};
pub use holder::{Actor, Holder, HolderKind, HolderSpec};
pub use id::{BatchId, FileId, KeyId, OrganizationId, PlanId, ProjectId, RequestId, TeamId, Tenant, UserId};
pub use journal::{Journal, JournalError, JournalWriter};
pub use key::{AdoptedKey, Aliases, KeyRecord, NewKey, aws_secret, check_aliases, hash_key, random_text};
pub use ledger::{LedgerEntry, Outcome};
pub use memory::{Memory, NewMemory};
pub use network::{Network, NoNetwork};
pub use once::{Begun, Once};
pub use page::{Page, Paged};
pub use postgres::{ForeignDatabase, PostgresAddress, Snapshot};
pub use replica::Replica;
pub use results::{Recorded, Results};
pub use role::{
    BUILT_IN_ROLES, CustomRole, Membership, Permission, Permissions, Place, Scope, Source, built_in_role,
};
pub use routed::{DecisionFilter, DecisionRow, Judged, RoutedBatch, RoutedRequest, SessionTurn};
pub use secret::{MasterKeys, SecretFields, StoredSecret};
pub use shared::{
    Answers, Ask, CounterKind, Patience, RedisCounters, RedisSessions, SharedCounters, SharedError,
    SharedSessions, Told, Verdict, sessions,
};
pub use state::{
    Conversation, HistoryError, KeptEvent, KeptResponse, MAX_CONVERSATION_ITEMS, StateItem, StateStore,
    Unfinished,
};
pub use store::{
    Audited, Entries, HolderFilter, KeyFilter, KeyStatus, LedgerFilter, Listing, Store, StoreError,
    StoredSecrets, ToldApart, Trimmed, UsageFilter, UsageGroup, UsageRow, UsedBucket, UsedRequest, UsedRow,
    Verified, Within,
};
pub use terms::{Amounts, Budget, Counted, Metadata, Quota, Shares, Terms, check_budgets, check_shares};
pub use window::{BudgetWindow, WINDOWS};
