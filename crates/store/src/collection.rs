//! Collections of documents that are looked up: whose they are, who may read them, and what is in them.

/// A collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// Its id.
    pub id: String,
    /// Who may change it.
    pub owner: String,
    /// When it was made, Unix seconds.
    pub at: i64,
    /// Another one after each change of what is in it.
    pub version: i64,
    /// What its owner calls it.
    pub name: String,
    /// Words of its owner's, as JSON.
    pub metadata: String,
    /// Who may read it beside its owner, as JSON.
    pub readers: String,
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their passages.
    pub passages: u64,
}

/// A file of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionFile {
    /// Its id.
    pub id: String,
    /// When it came in, Unix seconds.
    pub at: i64,
    /// What its owner calls it.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Passages it was cut into.
    pub passages: u64,
    /// Words of its owner's, as JSON.
    pub attributes: String,
}

/// A passage of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Passage {
    /// The file.
    pub file: String,
    /// What it says.
    pub text: String,
    /// The model that has read it.
    pub model: String,
    /// What it means.
    pub vector: Vec<f32>,
}
