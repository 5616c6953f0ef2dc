//! Vectors by nearness, a shelf for each tenant: compared one by one while a shelf holds few, through a graph when it holds
//! many. In bytes, bounded in number and memory, kept in a file; many read while one writes.
//!
//! A tenant's search never touches another's vectors, so small tenants among large ones are found as well as if they were
//! alone. When there is no room, the oldest vector of the tenant that holds the most bytes goes: who floods the index pushes
//! out what is its own.

mod file;
mod graph;
mod rows;
mod shelf;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::kernels::Machine;
use rows::Coded;
use shelf::Shelf;

/// Why a vector is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VectorError {
    /// It has another number of columns.
    #[error("a vector of {found} columns, where {expected} are wanted")]
    Width {
        /// Columns of the index.
        expected: usize,
        /// Columns that came.
        found: usize,
    },
    /// It has no direction: all zeros, or not finite.
    #[error("a vector without direction")]
    Direction,
    /// Not even one vector may be kept.
    #[error("the index has no room for a single vector: give it more vectors or bytes")]
    NoRoom,
}

/// One that is near.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// Its number.
    pub id: u64,
    /// Cosine of the angle between.
    pub cosine: f32,
}

/// A vector that went to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evicted {
    /// Whose it was.
    pub tenant: u64,
    /// Its number.
    pub id: u64,
}

/// Bounds of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Vectors of all tenants.
    pub vectors: usize,
    /// Bytes of all tenants: vectors, numbers, links, and what is deleted and not yet free.
    pub bytes: usize,
    /// Vectors of one tenant that are compared one by one; with more, a graph is made, a little at each write.
    pub exact: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            vectors: 1_000_000,
            bytes: 1 << 30,
            exact: 20_000,
        }
    }
}

/// Bytes of an empty shelf with its places in maps.
const SHELF: usize = 512;

/// What only the one who writes looks at.
#[derive(Debug, Default)]
struct Ledger {
    /// Bytes that each tenant is counted with, the most last.
    sizes: BTreeSet<(usize, u64)>,
    count: usize,
    bytes: usize,
}

impl Ledger {
    fn count(&mut self, tenant: u64, (vectors, bytes): (usize, usize), now: (usize, usize)) {
        self.sizes.remove(&(bytes, tenant));
        if now.0 > 0 {
            self.sizes.insert((now.1, tenant));
        }
        self.count = self.count + now.0 - vectors;
        self.bytes = self.bytes + now.1 - bytes;
    }
}

type Shelves = HashMap<u64, Arc<RwLock<Shelf>>, foldhash::fast::RandomState>;

/// An index of vectors of one width, by tenant.
#[derive(Debug)]
pub struct VectorIndex {
    width: usize,
    limits: Limits,
    machine: Machine,
    shelves: RwLock<Shelves>,
    /// Held by whoever writes, so that plans stay true until they are carried out.
    ledger: Mutex<Ledger>,
}

/// Vectors and bytes that a shelf is counted with.
fn counted(shelf: &Shelf) -> (usize, usize) {
    match shelf.len() {
        0 => (0, 0),
        vectors => (vectors, SHELF + vectors * shelf.each()),
    }
}

impl VectorIndex {
    /// For vectors of `width` columns.
    #[must_use]
    pub fn new(width: usize, limits: Limits) -> Self {
        Self {
            width: width.max(1),
            limits,
            machine: Machine::detect(),
            shelves: RwLock::default(),
            ledger: Mutex::default(),
        }
    }

    /// How many vectors there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ledger.lock().count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the vectors are counted with; never more than the limit.
    #[must_use]
    pub fn counted_bytes(&self) -> usize {
        self.ledger.lock().bytes
    }

    /// Bytes in memory. Looks at every tenant.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let shelves = self.shelves.read();
        shelves.values().map(|shelf| SHELF + shelf.read().bytes()).sum()
    }

    /// Whether the tenant's vectors are found through a graph.
    #[must_use]
    pub fn linked(&self, tenant: u64) -> bool {
        self.shelf(tenant).is_some_and(|shelf| shelf.read().linked())
    }

    fn shelf(&self, tenant: u64) -> Option<Arc<RwLock<Shelf>>> {
        self.shelves.read().get(&tenant).cloned()
    }

    fn coded(&self, vector: &[f32]) -> Result<Coded, VectorError> {
        if vector.len() != self.width {
            return Err(VectorError::Width {
                expected: self.width,
                found: vector.len(),
            });
        }
        Coded::of(self.machine, vector).ok_or(VectorError::Direction)
    }

    /// Puts a vector in, in place of an earlier one of the same tenant and number. Gives those that went to make room.
    ///
    /// # Errors
    ///
    /// If it has another width or no direction, or not even one vector may be kept.
    pub fn put(&self, tenant: u64, id: u64, vector: &[f32]) -> Result<Vec<Evicted>, VectorError> {
        let vector = self.coded(vector)?;
        let mut ledger = self.ledger.lock();
        let shelf = self
            .shelf(tenant)
            .unwrap_or_else(|| Arc::new(RwLock::new(Shelf::new(self.width, self.machine))));
        let (new, each) = {
            let shelf = shelf.read();
            (
                usize::from(!shelf.has(id)),
                shelf.each() + if shelf.len() == 0 { SHELF } else { 0 },
            )
        };
        if self.limits.vectors == 0 || each > self.limits.bytes {
            return Err(VectorError::NoRoom);
        }
        let mut evicted = Vec::new();
        while new > 0 && (ledger.count + new > self.limits.vectors || ledger.bytes + each > self.limits.bytes)
        {
            match self.evict(&mut ledger) {
                Some(gone) => evicted.push(gone),
                None => break,
            }
        }
        let planned = shelf.read().plan(id, &vector);
        let before = counted(&shelf.read());
        let now = {
            let mut shelf = shelf.write();
            shelf.put(id, &vector, planned);
            shelf.tend(self.limits.exact);
            counted(&shelf)
        };
        self.shelves.write().entry(tenant).or_insert(shelf);
        ledger.count(tenant, before, now);
        // A shelf that has got its graph is counted with more.
        while ledger.bytes > self.limits.bytes && ledger.count > 1 {
            match self.evict(&mut ledger) {
                Some(gone) => evicted.push(gone),
                None => break,
            }
        }
        Ok(evicted)
    }

    /// Takes out the oldest vector of the tenant that holds the most bytes.
    fn evict(&self, ledger: &mut Ledger) -> Option<Evicted> {
        let (_, tenant) = *ledger.sizes.last()?;
        let shelf = self.shelf(tenant)?;
        let id = shelf.write().oldest()?;
        self.take(ledger, tenant, id);
        Some(Evicted { tenant, id })
    }

    fn take(&self, ledger: &mut Ledger, tenant: u64, id: u64) -> bool {
        let Some(shelf) = self.shelf(tenant) else {
            return false;
        };
        let before = counted(&shelf.read());
        let (taken, now) = {
            let mut shelf = shelf.write();
            let taken = shelf.delete(id);
            shelf.tend(self.limits.exact);
            (taken, counted(&shelf))
        };
        if now.0 == 0 {
            self.shelves.write().remove(&tenant);
        }
        ledger.count(tenant, before, now);
        taken
    }

    /// Takes a vector out. Whether there was one.
    pub fn delete(&self, tenant: u64, id: u64) -> bool {
        self.take(&mut self.ledger.lock(), tenant, id)
    }

    /// Takes all of a tenant's vectors out. How many there were.
    pub fn delete_tenant(&self, tenant: u64) -> usize {
        let mut ledger = self.ledger.lock();
        let Some(shelf) = self.shelves.write().remove(&tenant) else {
            return 0;
        };
        let before = counted(&shelf.read());
        ledger.count(tenant, before, (0, 0));
        before.0
    }

    /// The tenant's nearest vectors, the nearest first: at most `most`, none below `least`.
    ///
    /// # Errors
    ///
    /// If `vector` has another width or no direction.
    pub fn nearest(
        &self,
        tenant: u64,
        vector: &[f32],
        most: usize,
        least: f32,
    ) -> Result<Vec<Near>, VectorError> {
        let vector = self.coded(vector)?;
        Ok(self
            .shelf(tenant)
            .map_or_else(Vec::new, |shelf| shelf.read().nearest(&vector, most, least)))
    }

    /// The same, compared one by one however many there are: what a graph is measured against.
    ///
    /// # Errors
    ///
    /// If `vector` has another width or no direction.
    pub fn nearest_exact(
        &self,
        tenant: u64,
        vector: &[f32],
        most: usize,
        least: f32,
    ) -> Result<Vec<Near>, VectorError> {
        let vector = self.coded(vector)?;
        let found = |shelf: Arc<RwLock<Shelf>>| shelf.read().exact(&vector, most, least);
        Ok(self
            .shelf(tenant)
            .filter(|_| most > 0)
            .map_or_else(Vec::new, found))
    }
}
