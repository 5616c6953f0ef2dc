//! One tenant's vectors: compared one by one while they are few, through a graph when they are many.

use std::collections::{HashMap, VecDeque};

use super::Near;
use super::graph::{Graph, Hit, LOWEST, Plan};
use super::rows::{Coded, Rows};
use crate::kernels::Machine;

/// Places that a write links while the graph is made.
const LINKED: usize = 8;

/// How many are looked at, at least, when the nearest are asked for.
const BREADTH: usize = 96;

/// Where a number's vector is, and when it was put there.
#[derive(Debug, Clone, Copy)]
struct Place {
    row: u32,
    stamp: u64,
}

/// One tenant's vectors.
#[derive(Debug)]
pub(super) struct Shelf {
    width: usize,
    machine: Machine,
    rows: Rows,
    ids: Vec<u64>,
    places: HashMap<u64, Place, foldhash::fast::RandomState>,
    /// Numbers in the order in which they came; what was put anew or deleted since is skipped.
    order: VecDeque<(u64, u64)>,
    stamps: u64,
    graph: Option<Graph>,
    free: Vec<u32>,
}

impl Shelf {
    pub(super) fn new(width: usize, machine: Machine) -> Self {
        Self {
            width,
            machine,
            rows: Rows::new(width, machine),
            ids: Vec::new(),
            places: HashMap::default(),
            order: VecDeque::new(),
            stamps: 0,
            graph: None,
            free: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn has(&self, id: u64) -> bool {
        self.places.contains_key(&id)
    }

    /// Bytes that one vector is counted with: with a graph also its links, and a quarter for what is deleted and not yet
    /// free.
    pub(super) fn each(&self) -> usize {
        // Scale, number, place and order, as far as their tables may be empty.
        let plain = self.width + 145;
        match self.graph {
            None => plain,
            Some(_) => (plain + LOWEST * 4 + 60) * 5 / 4,
        }
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        let maps = self.ids.capacity() * 8 + self.places.capacity() * 25 + self.order.capacity() * 16;
        self.rows.bytes() + maps + self.graph.as_ref().map_or(0, Graph::bytes) + self.free.capacity() * 4
    }

    /// Whether the graph holds all that is there.
    pub(super) fn linked(&self) -> bool {
        self.graph
            .as_ref()
            .is_some_and(|graph| graph.len() == self.rows.len())
    }

    fn alive(&self, row: usize) -> bool {
        self.graph.as_ref().is_none_or(|graph| !graph.is_dead(row))
            && self
                .places
                .get(&self.ids[row])
                .is_some_and(|place| place.row as usize == row)
    }

    /// The nearest, the nearest first.
    pub(super) fn nearest(&self, vector: &Coded, most: usize, least: f32) -> Vec<Near> {
        if most == 0 {
            return Vec::new();
        }
        if let Some(graph) = self.graph.as_ref().filter(|_| self.linked()) {
            let found = graph.nearest(&self.rows, vector, BREADTH.max(most * 2));
            let near = found.into_iter().filter(|hit| hit.cosine >= least).take(most);
            return near.map(|hit| self.near(hit)).collect();
        }
        self.exact(vector, most, least)
    }

    fn near(&self, hit: Hit) -> Near {
        Near {
            id: self.ids[hit.place as usize],
            cosine: hit.cosine,
        }
    }

    /// The nearest by comparing with all.
    pub(super) fn exact(&self, vector: &Coded, most: usize, least: f32) -> Vec<Near> {
        let mut best: Vec<Near> = Vec::with_capacity(most.min(self.len()) + 1);
        self.rows.scan(vector, |row, cosine| {
            let full = best.len() >= most;
            let worst = if full {
                best.last().map_or(least, |last| last.cosine)
            } else {
                least
            };
            if cosine < worst || (full && cosine <= worst) || !self.alive(row) {
                return;
            }
            let place = best.partition_point(|near| near.cosine >= cosine);
            best.insert(
                place,
                Near {
                    id: self.ids[row],
                    cosine,
                },
            );
            best.truncate(most);
        });
        best
    }

    /// The row that the next vector takes, and with a graph how it is linked. Changes nothing, so others may read.
    pub(super) fn plan(&self, id: u64, vector: &Coded) -> (u32, Option<Plan>) {
        let next = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let row = self.free.last().copied().unwrap_or(next);
        let plan = self
            .graph
            .as_ref()
            .filter(|_| self.linked())
            .map(|graph| graph.plan(&self.rows, row, vector, id));
        (row, plan)
    }

    /// Puts a vector where it was planned.
    pub(super) fn put(&mut self, id: u64, vector: &Coded, (row, plan): (u32, Option<Plan>)) {
        self.stamps += 1;
        self.order.push_back((id, self.stamps));
        if let Some(place) = self.places.get_mut(&id).filter(|_| self.graph.is_none()) {
            place.stamp = self.stamps;
            self.rows.set(place.row as usize, vector);
            self.forget();
            return;
        }
        if let (Some(graph), Some(place)) = (self.graph.as_mut(), self.places.get(&id)) {
            graph.kill(place.row as usize);
        }
        if self.free.last() == Some(&row) {
            self.free.pop();
            self.rows.set(row as usize, vector);
            self.ids[row as usize] = id;
        } else {
            self.rows.push(vector);
            self.ids.push(id);
        }
        let stamp = self.stamps;
        self.places.insert(id, Place { row, stamp });
        if let (Some(graph), Some(plan)) = (self.graph.as_mut(), plan) {
            graph.apply(plan);
        }
        self.forget();
    }

    /// Takes a vector out. Whether there was one.
    pub(super) fn delete(&mut self, id: u64) -> bool {
        let Some(place) = self.places.remove(&id) else {
            return false;
        };
        let row = place.row as usize;
        match &mut self.graph {
            Some(graph) => graph.kill(row),
            None => {
                self.rows.swap_remove(row);
                self.ids.swap_remove(row);
                if let Some(moved) = self.ids.get(row).and_then(|moved| self.places.get_mut(moved)) {
                    moved.row = place.row;
                }
            }
        }
        self.forget();
        true
    }

    /// The number that came first.
    pub(super) fn oldest(&mut self) -> Option<u64> {
        while let Some((id, stamp)) = self.order.front() {
            if self.places.get(id).is_some_and(|place| place.stamp == *stamp) {
                return Some(*id);
            }
            self.order.pop_front();
        }
        None
    }

    /// Lets go of what the order remembers in vain, when that is half of it.
    fn forget(&mut self) {
        if self.order.len() > 2 * self.places.len() + 64 {
            let places = &self.places;
            self.order
                .retain(|(id, stamp)| places.get(id).is_some_and(|place| place.stamp == *stamp));
        }
    }

    /// A little of the work that the graph needs: linking what is not linked yet, or sweeping. `exact` is how many vectors are
    /// compared one by one.
    pub(super) fn tend(&mut self, exact: usize) {
        let count = self.len();
        if self.graph.is_none() && count > exact {
            self.graph = Some(Graph::default());
        }
        if self.graph.is_some() && count < exact / 2 {
            self.flatten();
        }
        let Some(graph) = &mut self.graph else { return };
        if graph.len() == self.rows.len() {
            self.free.extend(graph.sweep(&self.rows));
            return;
        }
        for row in (graph.len()..self.rows.len()).take(LINKED) {
            let vector = self.rows.row(row);
            let id = self.ids[row];
            let plan = graph.plan(&self.rows, u32::try_from(row).unwrap_or(u32::MAX), &vector, id);
            graph.apply(plan);
            // What was deleted before it was linked is on the way until a sweep, like all that is deleted.
            if self.places.get(&id).is_none_or(|place| place.row as usize != row) {
                graph.kill(row);
            }
        }
    }

    /// Back to comparing one by one: what is deleted goes.
    fn flatten(&mut self) {
        let mut flat = Self::new(self.width, self.machine);
        let mut order = std::mem::take(&mut self.order);
        order.retain(|(id, stamp)| self.places.get(id).is_some_and(|place| place.stamp == *stamp));
        for (id, _) in order {
            if let Some(place) = self.places.get(&id) {
                let vector = self.rows.row(place.row as usize);
                let planned = flat.plan(id, &vector);
                flat.put(id, &vector, planned);
            }
        }
        *self = flat;
    }

    /// Everything for a file: numbers and vectors in the order in which they came, and the links between them.
    pub(super) fn saved(&self) -> Saved {
        let order = self
            .order
            .iter()
            .filter(|(id, stamp)| self.places.get(id).is_some_and(|place| place.stamp == *stamp));
        let rows: Vec<(u64, u32)> = order.map(|(id, _)| (*id, self.places[id].row)).collect();
        let graph = self.graph.as_ref().filter(|_| self.linked());
        let links = graph.and_then(|graph| {
            let numbers: HashMap<u32, u32, foldhash::fast::RandomState> =
                rows.iter().map(|(_, row)| *row).zip(0..).collect();
            let renamed = |links: &[u32]| -> Vec<u32> {
                links
                    .iter()
                    .filter_map(|other| numbers.get(other).copied())
                    .collect()
            };
            let all = rows
                .iter()
                .map(|(_, row)| graph.links(*row).map(renamed).collect::<Vec<_>>())
                .collect();
            // One that was deleted is no way in; then one of the highest is.
            let entry = graph.entry().and_then(|entry| numbers.get(&entry).copied());
            let highest = || {
                (0..)
                    .zip(&rows)
                    .max_by_key(|(_, (_, row))| graph.links(*row).count())
            };
            Some((all, entry.or_else(|| highest().map(|(number, _)| number))?))
        });
        Saved {
            vectors: rows
                .into_iter()
                .map(|(id, row)| (id, self.rows.row(row as usize)))
                .collect(),
            links,
        }
    }

    /// From what a file has. None if a number is there twice or links lead astray.
    pub(super) fn restored(width: usize, machine: Machine, saved: Saved) -> Option<Self> {
        let mut shelf = Self::new(width, machine);
        let count = saved.vectors.len();
        for (id, vector) in saved.vectors {
            let planned = shelf.plan(id, &vector);
            shelf.put(id, &vector, planned);
        }
        if let Some((links, entry)) = saved.links {
            if links.len() != count {
                return None;
            }
            shelf.graph = Some(Graph::from_links(links, entry)?);
        }
        (shelf.len() == count).then_some(shelf)
    }
}

/// A shelf for a file.
#[derive(Debug)]
pub(super) struct Saved {
    pub vectors: Vec<(u64, Coded)>,
    /// For each vector its neighbours on each layer, and where a search starts.
    pub links: Option<(Vec<Vec<Vec<u32>>>, u32)>,
}
