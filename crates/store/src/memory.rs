//! What is remembered of a user, for those requests of theirs whose decision remembers.

/// Something that is to be remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMemory {
    /// Its id.
    pub id: String,
    /// Whose it is: nobody else is ever shown it.
    pub owner: String,
    /// What it says.
    pub text: String,
    /// When it was said, Unix milliseconds.
    pub at: i64,
    /// From when on it is gone, Unix milliseconds.
    pub expires_at: Option<i64>,
    /// It is kept only where the owner has agreed, and not already where they have not refused.
    pub needs_consent: bool,
    /// Most memories of the owner: the oldest go.
    pub most: u32,
}

/// Something that is remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    /// Its id.
    pub id: String,
    /// What it says.
    pub text: String,
    /// When it was said, Unix milliseconds.
    pub at: i64,
    /// From when on it is gone, Unix milliseconds.
    pub expires_at: Option<i64>,
    /// The model that has read it, and its vector.
    pub vector: Option<(String, Vec<f32>)>,
}
