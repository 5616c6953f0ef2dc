//! An index in a file: written aside and put in place as a whole, checked from end to end when it is read.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | `PMVECTOR` |
//! | 4, 4 | version, 1; columns. Numbers are little-endian |
//! | … | tenants: length (8), CRC-32 (4), and what a tenant has: its number (8), how many vectors (8), with links or not (1); numbers (8 each), scales (f32 each), codes; with links: the entry (4), and for each vector the number of layers (1) and for each layer the number of neighbours (1) and those (4 each) |
//! | 12 | length and CRC-32 of nothing: the end |
//!
//! Memory beside the index is that of one tenant.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;

use super::graph::{HIGHEST, LOWEST};
use super::rows::Coded;
use super::shelf::{Saved, Shelf};
use super::{Limits, VectorIndex, counted};
use crate::error::LoadError;

const MAGIC: &[u8; 8] = b"PMVECTOR";
const VERSION: u32 = 1;

/// What can be done about a file that is refused.
const REMEDY: &str = "remove it, and the index fills anew";

fn failed(path: &Path, source: std::io::Error) -> LoadError {
    LoadError::Read {
        path: path.to_owned(),
        source,
    }
}

impl VectorIndex {
    /// Writes everything into a file, in place of what it had. Others may read and write meanwhile; each tenant is written
    /// as it is at one moment.
    ///
    /// # Errors
    ///
    /// If the file can't be written; then what it had is still there.
    pub fn save(&self, path: &Path) -> Result<(), LoadError> {
        let aside = path.with_extension("new");
        self.write(&aside).map_err(|error| failed(&aside, error))?;
        std::fs::rename(&aside, path).map_err(|error| failed(path, error))?;
        // The new name must be on the disk, too.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or_else(|| Path::new(".")));
        folder
            .and_then(|folder| folder.sync_all())
            .map_err(|error| failed(path, error))
    }

    fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        self.write_to(&mut out)?;
        let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.sync_all()
    }

    /// Writes everything as a file has it.
    ///
    /// # Errors
    ///
    /// Those of what is written to.
    pub fn write_to(&self, out: &mut impl Write) -> std::io::Result<()> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        out.write_all(&u32::try_from(self.width).unwrap_or(u32::MAX).to_le_bytes())?;
        let mut tenants: Vec<(u64, Arc<RwLock<Shelf>>)> = self
            .shelves
            .read()
            .iter()
            .map(|(tenant, shelf)| (*tenant, Arc::clone(shelf)))
            .collect();
        tenants.sort_unstable_by_key(|(tenant, _)| *tenant);
        for (tenant, shelf) in tenants {
            let saved = shelf.read().saved();
            let body = encoded(tenant, &saved);
            out.write_all(&(body.len() as u64).to_le_bytes())?;
            out.write_all(&crc32fast::hash(&body).to_le_bytes())?;
            out.write_all(&body)?;
        }
        out.write_all(&[0; 12])
    }

    /// Reads an index of vectors of `width` columns.
    ///
    /// # Errors
    ///
    /// If the file can't be read, is damaged or cut off, has vectors of another width, or more than the limits allow. Nothing
    /// of it is taken then.
    pub fn load(path: &Path, width: usize, limits: Limits) -> Result<Self, LoadError> {
        let file = File::open(path).map_err(|error| failed(path, error))?;
        let whole = file.metadata().map_err(|error| failed(path, error))?.len();
        Self::read_from((path, BufReader::new(file), whole), width, limits)
    }

    /// Reads an index from what a file has: its name, what is in it, and how many bytes that is.
    ///
    /// # Errors
    ///
    /// As [`VectorIndex::load`].
    pub fn read_from(
        (path, mut file, whole): (&Path, impl Read, u64),
        width: usize,
        limits: Limits,
    ) -> Result<Self, LoadError> {
        let bad =
            |problem: &str| LoadError::malformed(path.display().to_string(), format!("{problem}; {REMEDY}"));
        let mut left = whole;
        let mut take = |bytes: &mut [u8]| -> Result<(), LoadError> {
            left = left
                .checked_sub(bytes.len() as u64)
                .ok_or_else(|| bad("is cut off"))?;
            file.read_exact(bytes).map_err(|error| failed(path, error))
        };
        let mut head = [0; 16];
        take(&mut head)?;
        known(&head, width).map_err(|problem| bad(&problem))?;
        let index = Self::new(width, limits);
        loop {
            let mut lead = [0; 12];
            take(&mut lead)?;
            let (Some(length), Some(check)) = (lead.first_chunk::<8>(), lead.last_chunk::<4>()) else {
                return Err(bad("is cut off"));
            };
            let (length, check) = (u64::from_le_bytes(*length), u32::from_le_bytes(*check));
            if length == 0 && check == 0 {
                return Ok(index);
            }
            let size = usize::try_from(length).ok().filter(|_| length <= whole);
            let mut body = vec![0; size.ok_or_else(|| bad("is cut off"))?];
            take(&mut body)?;
            if crc32fast::hash(&body) != check {
                return Err(bad("is damaged: a checksum differs"));
            }
            let (tenant, saved) = decoded(&body, width)
                .ok_or_else(|| bad("is damaged: a tenant's part is of no known form"))?;
            let shelf = Shelf::restored(width, index.machine, saved);
            let shelf = shelf.ok_or_else(|| {
                bad(&format!(
                    "is damaged: tenant {tenant} has a number twice, or links that lead astray"
                ))
            })?;
            let now = counted(&shelf);
            let mut ledger = index.ledger.lock();
            ledger.count(tenant, (0, 0), now);
            if ledger.count > limits.vectors || ledger.bytes > limits.bytes {
                return Err(bad("has more vectors than the limits allow"));
            }
            drop(ledger);
            if index
                .shelves
                .write()
                .insert(tenant, Arc::new(RwLock::new(shelf)))
                .is_some()
            {
                return Err(bad(&format!("has tenant {tenant} twice")));
            }
        }
    }
}

/// Whether a file begins as one of this version and width does.
fn known(head: &[u8; 16], width: usize) -> Result<(), String> {
    let number =
        |place: usize| u32::from_le_bytes([head[place], head[place + 1], head[place + 2], head[place + 3]]);
    if !head.starts_with(MAGIC) || number(8) != VERSION {
        return Err("is no index of vectors of version 1".to_owned());
    }
    if number(12) as usize != width {
        return Err(format!(
            "has vectors of {} columns, where {width} are wanted",
            number(12)
        ));
    }
    Ok(())
}

fn encoded(tenant: u64, saved: &Saved) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&tenant.to_le_bytes());
    out.extend_from_slice(&(saved.vectors.len() as u64).to_le_bytes());
    out.push(u8::from(saved.links.is_some()));
    for (id, _) in &saved.vectors {
        out.extend_from_slice(&id.to_le_bytes());
    }
    for (_, vector) in &saved.vectors {
        out.extend_from_slice(&vector.scale.to_le_bytes());
    }
    for (_, vector) in &saved.vectors {
        out.extend(vector.codes.iter().map(|code| code.cast_unsigned()));
    }
    if let Some((all, entry)) = &saved.links {
        out.extend_from_slice(&entry.to_le_bytes());
        for layers in all {
            // Both counts are bounded far below a byte.
            out.push(u8::try_from(layers.len()).unwrap_or(u8::MAX));
            for links in layers {
                out.push(u8::try_from(links.len()).unwrap_or(u8::MAX));
                for other in links {
                    out.extend_from_slice(&other.to_le_bytes());
                }
            }
        }
    }
    out
}

/// Takes numbers from the front of bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.first_chunk().copied()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }
}

fn decoded(body: &[u8], width: usize) -> Option<(u64, Saved)> {
    let mut reader = Reader(body);
    let tenant = u64::from_le_bytes(reader.array()?);
    let count = usize::try_from(u64::from_le_bytes(reader.array()?)).ok()?;
    let linked = reader.byte()?;
    let ids = reader.bytes(count.checked_mul(8)?)?.as_chunks::<8>().0;
    let scales = reader.bytes(count.checked_mul(4)?)?.as_chunks::<4>().0;
    let codes = reader.bytes(count.checked_mul(width)?)?;
    let mut vectors = Vec::with_capacity(count);
    for ((id, scale), codes) in ids.iter().zip(scales).zip(codes.chunks_exact(width)) {
        let scale = f32::from_le_bytes(*scale);
        if !(scale > 0.0 && scale.is_finite()) {
            return None;
        }
        let codes = codes.iter().map(|code| code.cast_signed()).collect();
        vectors.push((u64::from_le_bytes(*id), Coded { codes, scale }));
    }
    let links = match linked {
        0 => None,
        _ => Some(links(&mut reader, count)?),
    };
    reader.0.is_empty().then_some((tenant, Saved { vectors, links }))
}

fn links(reader: &mut Reader<'_>, count: usize) -> Option<(Vec<Vec<Vec<u32>>>, u32)> {
    let entry = u32::from_le_bytes(reader.array()?);
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let layers = reader
            .byte()
            .filter(|layers| (1..=HIGHEST + 1).contains(layers))?;
        let mut own = Vec::with_capacity(usize::from(layers));
        for _ in 0..layers {
            let links = usize::from(reader.byte()?);
            if links > LOWEST {
                return None;
            }
            let bytes = reader.bytes(links * 4)?.as_chunks::<4>().0;
            own.push(bytes.iter().map(|four| u32::from_le_bytes(*four)).collect());
        }
        all.push(own);
    }
    Some((all, entry))
}
