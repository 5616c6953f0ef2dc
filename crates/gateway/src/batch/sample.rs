//! A batch for tests.

use pointsman_store::{Batch, BatchApi, NewBatch};

/// One line that a key asks for, and what stands in its metadata.
pub(crate) fn batch(api: BatchApi, metadata: Option<String>) -> Batch {
    let asked = NewBatch {
        tenant: "key:k".into(),
        owner: None,
        api,
        endpoint: "/v1/chat/completions".to_owned(),
        input: "file-1".into(),
        metadata,
        keep: 1,
        total: 1,
        created_at: 0,
        expires_at: 1,
    };
    Batch::created("batch_abc".into(), asked)
}
