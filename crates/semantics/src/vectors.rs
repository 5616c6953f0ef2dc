//! Vectors by nearness: every one of a tenant's is compared, in bytes, which a hundred thousand bear. Bounded, with deletes
//! and a file.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::container::{Container, Writer};
use crate::error::LoadError;
use crate::kernels::{self, Machine};

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
    /// As many vectors are there as may be.
    #[error("{0} vectors are there, which is as many as may be")]
    Full(usize),
}

/// One that is near.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// Its number.
    pub id: u64,
    /// Cosine of the angle between.
    pub cosine: f32,
}

/// One tenant's vectors, one behind the other.
#[derive(Debug, Default)]
struct Shelf {
    ids: Vec<u64>,
    codes: Vec<i8>,
    /// What a row's codes are multiplied with to have length 1.
    scales: Vec<f32>,
    places: HashMap<u64, usize, foldhash::fast::RandomState>,
}

/// An index of vectors of one width, by tenant.
#[derive(Debug)]
pub struct VectorIndex {
    width: usize,
    most: usize,
    count: usize,
    shelves: HashMap<u64, Shelf>,
    machine: Machine,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    width: usize,
    /// Tenant, and how many vectors it has, in the order in which they stand.
    tenants: Vec<(u64, usize)>,
}

impl VectorIndex {
    /// For at most `most` vectors of `width` columns.
    #[must_use]
    pub fn new(width: usize, most: usize) -> Self {
        Self {
            width,
            most,
            count: 0,
            shelves: HashMap::new(),
            machine: Machine::detect(),
        }
    }

    /// How many vectors there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of all vectors in memory, at most.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // Codes, id, scale, and the id's place.
        self.count * (self.width + 8 + 4 + 32)
    }

    fn coded(&self, vector: &[f32]) -> Result<(Vec<i8>, f32), VectorError> {
        if vector.len() != self.width {
            return Err(VectorError::Width {
                expected: self.width,
                found: vector.len(),
            });
        }
        let mut codes = vec![0; self.width];
        let scale = kernels::quantise_symmetric(self.machine, vector, &mut codes);
        let squares = kernels::dot_int8(self.machine, &codes, &codes);
        if scale == 0.0 || squares <= 0 || !vector.iter().all(|value| value.is_finite()) {
            return Err(VectorError::Direction);
        }
        #[allow(clippy::cast_precision_loss, reason = "a length needs seven digits")]
        let length = (squares as f32).sqrt();
        Ok((codes, 1.0 / length))
    }

    /// Puts a vector in, in place of an earlier one of the same tenant and number.
    ///
    /// # Errors
    ///
    /// If it has another width, no direction, or there is no room.
    pub fn put(&mut self, tenant: u64, id: u64, vector: &[f32]) -> Result<(), VectorError> {
        let (codes, scale) = self.coded(vector)?;
        let known = self
            .shelves
            .get(&tenant)
            .and_then(|shelf| shelf.places.get(&id))
            .copied();
        if known.is_none() && self.count >= self.most {
            return Err(VectorError::Full(self.most));
        }
        let shelf = self.shelves.entry(tenant).or_default();
        if let Some(place) = known {
            shelf.codes[place * self.width..][..self.width].copy_from_slice(&codes);
            shelf.scales[place] = scale;
            return Ok(());
        }
        shelf.places.insert(id, shelf.ids.len());
        shelf.ids.push(id);
        shelf.codes.extend_from_slice(&codes);
        shelf.scales.push(scale);
        self.count += 1;
        Ok(())
    }

    /// Takes a vector out. Whether there was one.
    pub fn delete(&mut self, tenant: u64, id: u64) -> bool {
        let Some(shelf) = self.shelves.get_mut(&tenant) else {
            return false;
        };
        let Some(place) = shelf.places.remove(&id) else {
            return false;
        };
        // The last one moves to where it was.
        let last = shelf.ids.len() - 1;
        shelf.ids.swap_remove(place);
        shelf.scales.swap_remove(place);
        shelf
            .codes
            .copy_within(last * self.width..(last + 1) * self.width, place * self.width);
        shelf.codes.truncate(last * self.width);
        if let Some(moved) = shelf.ids.get(place) {
            shelf.places.insert(*moved, place);
        }
        if shelf.ids.is_empty() {
            self.shelves.remove(&tenant);
        }
        self.count -= 1;
        true
    }

    /// Takes all of a tenant's vectors out. How many there were.
    pub fn delete_tenant(&mut self, tenant: u64) -> usize {
        let count = self.shelves.remove(&tenant).map_or(0, |shelf| shelf.ids.len());
        self.count -= count;
        count
    }

    /// The tenant's nearest vectors, the nearest first: at most `most`, none below `least`.
    ///
    /// # Errors
    ///
    /// If `vector` has another width or no direction.
    #[allow(clippy::cast_precision_loss, reason = "a cosine needs seven digits")]
    pub fn nearest(
        &self,
        tenant: u64,
        vector: &[f32],
        most: usize,
        least: f32,
    ) -> Result<Vec<Near>, VectorError> {
        let (codes, scale) = self.coded(vector)?;
        let Some(shelf) = self.shelves.get(&tenant) else {
            return Ok(Vec::new());
        };
        let mut best: Vec<Near> = Vec::with_capacity(most.min(shelf.ids.len()) + 1);
        let rows = shelf
            .codes
            .chunks_exact(self.width.max(1))
            .zip(&shelf.scales)
            .zip(&shelf.ids);
        for ((row, own), id) in rows {
            let cosine = kernels::dot_int8(self.machine, &codes, row) as f32 * scale * own;
            let worst = if best.len() < most {
                least
            } else {
                best.last().map_or(least, |last| last.cosine)
            };
            if most == 0 || cosine < worst || (best.len() >= most && cosine <= worst) {
                continue;
            }
            let place = best.partition_point(|near| near.cosine >= cosine);
            best.insert(place, Near { id: *id, cosine });
            best.truncate(most);
        }
        Ok(best)
    }

    /// The whole index as a file's bytes.
    ///
    /// # Errors
    ///
    /// If it is too large for one.
    pub fn save(&self) -> Result<Vec<u8>, LoadError> {
        let mut tenants: Vec<(&u64, &Shelf)> = self.shelves.iter().collect();
        tenants.sort_by_key(|(tenant, _)| **tenant);
        let mut writer = Writer::default();
        let mut saved = Saved {
            width: self.width,
            tenants: Vec::new(),
        };
        let (mut ids, mut codes, mut scales) = (Vec::new(), Vec::new(), Vec::new());
        for (tenant, shelf) in tenants {
            saved.tenants.push((*tenant, shelf.ids.len()));
            ids.extend(
                shelf
                    .ids
                    .iter()
                    .flat_map(|id| id.to_le_bytes())
                    .map(u8::cast_signed),
            );
            codes.extend_from_slice(&shelf.codes);
            scales.extend_from_slice(&shelf.scales);
        }
        writer.signed("ids", &[self.count, 8], &ids);
        writer.signed("codes", &[self.count, self.width], &codes);
        writer.floats("scales", &[self.count], &scales);
        let settings = serde_json::to_value(saved)
            .map_err(|error| LoadError::malformed("vectors", error.to_string()))?;
        writer.finish(settings)
    }

    /// An index from a file's bytes, for at most `most` vectors.
    ///
    /// # Errors
    ///
    /// If the file is damaged, or has more.
    pub fn load(file: &str, bytes: &[u8], most: usize) -> Result<Self, LoadError> {
        let container = Container::read(file, bytes)?;
        let saved: Saved = container.settings()?;
        let count = saved
            .tenants
            .iter()
            .fold(0_usize, |sum, (_, count)| sum.saturating_add(*count));
        if count > most || saved.width == 0 {
            return Err(LoadError::malformed(
                file,
                format!("{count} vectors, where {most} may be"),
            ));
        }
        let ids = container.signed("ids", &[count, 8])?;
        let codes = container.signed("codes", &[count, saved.width])?;
        let scales = container.floats("scales", &[count])?;
        let mut index = Self::new(saved.width, most);
        let mut start = 0;
        for (tenant, size) in saved.tenants {
            let end = start + size;
            let own: Vec<u64> = ids[start * 8..end * 8]
                .as_chunks::<8>()
                .0
                .iter()
                .map(|eight| u64::from_le_bytes(eight.map(i8::cast_unsigned)))
                .collect();
            let shelf = Shelf {
                places: own.iter().copied().zip(0..).collect(),
                ids: own,
                codes: codes[start * saved.width..end * saved.width].to_vec(),
                scales: scales[start..end].to_vec(),
            };
            if shelf.places.len() != size || index.shelves.insert(tenant, shelf).is_some() {
                return Err(LoadError::malformed(
                    file,
                    format!("tenant {tenant} has a number or is there twice"),
                ));
            }
            start = end;
        }
        index.count = count;
        Ok(index)
    }
}
