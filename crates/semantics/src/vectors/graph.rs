//! A navigable graph over vectors (HNSW): each knows some that are near, few layers lead there fast. What is deleted stays on
//! the way until a sweep, a few vectors at each write, has led all ways around it; then its place is free.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use parking_lot::Mutex;

use super::rows::{Coded, Rows};

/// Neighbours of a vector on the lowest layer.
pub(super) const LOWEST: usize = 32;
/// Neighbours on the layers above.
pub(super) const UPPER: usize = 16;
/// How many are looked at when a vector is put in.
const BREADTH: usize = 100;
/// The highest layer.
pub(super) const HIGHEST: u8 = 8;
/// Places that a write sweeps.
const SWEPT: usize = 32;

/// A place with its cosine; the nearest is the greatest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hit {
    pub cosine: f32,
    pub place: u32,
}

impl Eq for Hit {}

impl Ord for Hit {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cosine
            .total_cmp(&other.cosine)
            .then(other.place.cmp(&self.place))
    }
}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Which places a search has seen.
#[derive(Debug, Default)]
struct Seen {
    marks: Vec<u32>,
    round: u32,
}

impl Seen {
    fn start(&mut self, places: usize) {
        self.marks.resize(places, 0);
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.marks.fill(0);
            self.round = 1;
        }
    }

    fn first(&mut self, place: u32) -> bool {
        let mark = &mut self.marks[place as usize];
        std::mem::replace(mark, self.round) != self.round
    }
}

/// What putting a vector in will change; made while others read.
#[derive(Debug)]
pub(super) struct Plan {
    place: u32,
    /// Its neighbours on each layer, from the lowest.
    own: Vec<Vec<u32>>,
    /// Place, layer, and the neighbours that it has from now on.
    others: Vec<(u32, usize, Vec<u32>)>,
}

/// What became of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Alive,
    /// Deleted, and still on the way.
    Dead,
    /// Nothing leads here.
    Free,
}

/// Links between places of [`Rows`].
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// Neighbours on the lowest layer, for each place.
    lowest: Vec<Vec<u32>>,
    /// Neighbours on the layers above, for the few that are there.
    upper: HashMap<u32, Vec<Vec<u32>>, foldhash::fast::RandomState>,
    /// Where a search starts.
    entry: Option<u32>,
    states: Vec<State>,
    deaths: usize,
    /// Places whose ways are led around, and how far that is.
    sweep: Option<(Vec<u32>, usize)>,
    rooms: Mutex<Vec<Seen>>,
}

/// The vector that comes in, and its place.
struct New<'a> {
    place: u32,
    vector: &'a Coded,
}

impl Graph {
    /// Places that are linked.
    pub(super) fn len(&self) -> usize {
        self.lowest.len()
    }

    pub(super) fn is_dead(&self, place: usize) -> bool {
        self.states.get(place).is_some_and(|state| *state != State::Alive)
    }

    pub(super) fn bytes(&self) -> usize {
        let above = self.upper.values().map(Vec::len).sum::<usize>();
        self.lowest.capacity() * (size_of::<Vec<u32>>() + 1)
            + self.lowest.len() * LOWEST * 4
            + above * (UPPER * 4 + 24)
            + self.upper.capacity() * 32
    }

    fn layers(&self, place: u32) -> usize {
        self.upper.get(&place).map_or(0, Vec::len)
    }

    fn neighbours(&self, place: u32, layer: usize) -> &[u32] {
        if layer == 0 {
            return self.lowest.get(place as usize).map_or(&[], Vec::as_slice);
        }
        self.upper
            .get(&place)
            .and_then(|all| all.get(layer - 1))
            .map_or(&[], Vec::as_slice)
    }

    /// The nearest that are alive, the nearest first: at most `breadth`.
    pub(super) fn nearest(&self, rows: &Rows, vector: &Coded, breadth: usize) -> Vec<Hit> {
        let Some(entry) = self.entry else {
            return Vec::new();
        };
        let mut seen = self.rooms.lock().pop().unwrap_or_default();
        let mut from = Hit {
            cosine: rows.cosine(entry as usize, &vector.codes, vector.scale),
            place: entry,
        };
        for layer in (1..=self.layers(entry)).rev() {
            from = self.climb(rows, vector, from, layer);
        }
        let found = self.search(rows, vector, &[from], (0, breadth), &mut seen);
        self.rooms.lock().push(seen);
        found
    }

    /// The nearest that single steps lead to.
    fn climb(&self, rows: &Rows, vector: &Coded, mut from: Hit, layer: usize) -> Hit {
        loop {
            let near = self.neighbours(from.place, layer).iter().map(|place| Hit {
                cosine: rows.cosine(*place as usize, &vector.codes, vector.scale),
                place: *place,
            });
            match near.max().filter(|best| best.cosine > from.cosine) {
                Some(best) => from = best,
                None => return from,
            }
        }
    }

    fn search(
        &self,
        rows: &Rows,
        vector: &Coded,
        from: &[Hit],
        (layer, breadth): (usize, usize),
        seen: &mut Seen,
    ) -> Vec<Hit> {
        seen.start(self.lowest.len());
        let mut open: BinaryHeap<Hit> = BinaryHeap::new();
        // The farthest on top.
        let mut best: BinaryHeap<std::cmp::Reverse<Hit>> = BinaryHeap::with_capacity(breadth + 1);
        for hit in from {
            if seen.first(hit.place) {
                open.push(*hit);
                if !self.is_dead(hit.place as usize) {
                    best.push(std::cmp::Reverse(*hit));
                }
            }
        }
        while let Some(hit) = open.pop() {
            let worst = best.peek().map_or(f32::NEG_INFINITY, |worst| worst.0.cosine);
            if best.len() >= breadth && hit.cosine < worst {
                break;
            }
            for place in self.neighbours(hit.place, layer) {
                if !seen.first(*place) {
                    continue;
                }
                let next = Hit {
                    cosine: rows.cosine(*place as usize, &vector.codes, vector.scale),
                    place: *place,
                };
                let worst = best.peek().map_or(f32::NEG_INFINITY, |worst| worst.0.cosine);
                if best.len() < breadth || next.cosine > worst {
                    open.push(next);
                    if !self.is_dead(*place as usize) {
                        best.push(std::cmp::Reverse(next));
                        if best.len() > breadth {
                            best.pop();
                        }
                    }
                }
            }
        }
        let mut found: Vec<Hit> = best.into_iter().map(|hit| hit.0).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found
    }

    /// Of candidates, the nearest first, those that are nearer to the vector than to one taken before; then the nearest of the
    /// rest, until there are `most`.
    fn choose(rows: &Rows, new: Option<&New<'_>>, candidates: &[Hit], most: usize) -> Vec<u32> {
        let mut taken: Vec<u32> = Vec::with_capacity(most);
        let mut rest: Vec<u32> = Vec::new();
        for hit in candidates {
            if taken.len() >= most {
                break;
            }
            let apart = taken
                .iter()
                .all(|other| between(rows, new, hit.place, *other) < hit.cosine);
            if apart {
                taken.push(hit.place);
            } else {
                rest.push(hit.place);
            }
        }
        let room = most - taken.len();
        taken.extend(rest.into_iter().take(room));
        taken
    }

    /// What will change when a vector is put at a place, which has no links yet.
    pub(super) fn plan(&self, rows: &Rows, place: u32, vector: &Coded, id: u64) -> Plan {
        let layers = layers_of(id);
        let new = New { place, vector };
        let mut plan = Plan {
            place,
            own: vec![Vec::new(); layers + 1],
            others: Vec::new(),
        };
        let Some(entry) = self.entry else {
            return plan;
        };
        let mut seen = self.rooms.lock().pop().unwrap_or_default();
        let mut from = vec![Hit {
            cosine: rows.cosine(entry as usize, &vector.codes, vector.scale),
            place: entry,
        }];
        let top = self.layers(entry);
        for layer in (0..=top).rev() {
            if layer > layers {
                from[0] = self.climb(rows, vector, from[0], layer);
                continue;
            }
            let found = self.search(rows, vector, &from, (layer, BREADTH), &mut seen);
            let most = if layer == 0 { LOWEST } else { UPPER };
            let own = Self::choose(rows, Some(&new), &found, most / 2);
            for other in &own {
                plan.others
                    .push((*other, layer, self.with(rows, &new, (*other, layer), most)));
            }
            plan.own[layer] = own;
            if !found.is_empty() {
                from = found;
            }
        }
        self.rooms.lock().push(seen);
        plan
    }

    /// The neighbours of another once the new one is among them.
    fn with(&self, rows: &Rows, new: &New<'_>, (other, layer): (u32, usize), most: usize) -> Vec<u32> {
        let mut all: Vec<u32> = self.neighbours(other, layer).to_vec();
        all.push(new.place);
        if all.len() <= most {
            return all;
        }
        let mut hits: Vec<Hit> = all
            .into_iter()
            .filter(|place| !self.is_dead(*place as usize) || *place == new.place)
            .map(|place| Hit {
                cosine: between(rows, Some(new), other, place),
                place,
            })
            .collect();
        hits.sort_unstable_by(|a, b| b.cmp(a));
        Self::choose(rows, Some(new), &hits, most)
    }

    /// Carries a plan out; the vector must be at its place.
    pub(super) fn apply(&mut self, plan: Plan) {
        let place = plan.place as usize;
        if self.lowest.len() <= place {
            self.lowest.resize(place + 1, Vec::new());
            self.states.resize(place + 1, State::Free);
        }
        self.states[place] = State::Alive;
        let layers = plan.own.len() - 1;
        let mut own = plan.own.into_iter();
        self.lowest[place] = own.next().unwrap_or_default();
        if layers > 0 {
            self.upper.insert(plan.place, own.collect());
        } else {
            self.upper.remove(&plan.place);
        }
        for (other, layer, links) in plan.others {
            self.link(other, layer, links);
        }
        // Where only dead places were met, the way begins anew.
        let lost =
            self.lowest[place].is_empty() && self.entry.is_some_and(|entry| self.is_dead(entry as usize));
        if lost || self.entry.is_none_or(|entry| self.layers(entry) < layers) {
            self.entry = Some(plan.place);
        }
    }

    fn link(&mut self, place: u32, layer: usize, links: Vec<u32>) {
        if layer == 0 {
            self.lowest[place as usize] = links;
        } else if let Some(own) = self.upper.get_mut(&place).and_then(|all| all.get_mut(layer - 1)) {
            *own = links;
        }
    }

    /// Marks a place as deleted; one that is not linked yet is not known.
    pub(super) fn kill(&mut self, place: usize) {
        if let Some(state) = self.states.get_mut(place).filter(|state| **state == State::Alive) {
            *state = State::Dead;
            self.deaths += 1;
        }
    }

    /// Leads some ways around what is dead. Gives the places that are free from now on.
    pub(super) fn sweep(&mut self, rows: &Rows) -> Vec<u32> {
        let (dying, from) = match self.sweep.take() {
            Some(sweep) => sweep,
            None if self.deaths > 16 && self.deaths > self.lowest.len() / 16 => {
                let all = (0..).zip(&self.states);
                let dying = all
                    .filter(|(_, state)| **state == State::Dead)
                    .map(|(place, _)| place);
                (dying.collect(), 0)
            }
            None => return Vec::new(),
        };
        let end = (from + SWEPT).min(self.lowest.len());
        for (number, place) in (0_u32..).zip(0..end).skip(from) {
            // What has died since the round began is on the way, too, and must lead nowhere that will be free.
            let stays = self.states[place] != State::Free && dying.binary_search(&number).is_err();
            if stays {
                self.mend(rows, place, &dying);
            }
        }
        if end < self.lowest.len() {
            self.sweep = Some((dying, end));
            return Vec::new();
        }
        for place in &dying {
            self.lowest[*place as usize] = Vec::new();
            self.upper.remove(place);
            self.states[*place as usize] = State::Free;
        }
        self.deaths -= dying.len();
        if self.entry.is_some_and(|entry| self.is_dead(entry as usize)) {
            self.enter();
        }
        dying
    }

    /// Chooses the place where searches start: one that is alive, on the highest layer.
    fn enter(&mut self) {
        let above = self
            .upper
            .iter()
            .filter(|(place, _)| !self.is_dead(**place as usize));
        let highest = above
            .max_by_key(|(place, layers)| (layers.len(), **place))
            .map(|(place, _)| *place);
        let any = || {
            (0..)
                .zip(&self.states)
                .find(|(_, state)| **state == State::Alive)
                .map(|(place, _)| place)
        };
        self.entry = highest.or_else(any);
    }

    fn mend(&mut self, rows: &Rows, place: usize, dying: &[u32]) {
        #[allow(clippy::cast_possible_truncation, reason = "places are below 2^32")]
        let own = place as u32;
        for layer in 0..=self.layers(own) {
            let links = self.neighbours(own, layer);
            if !links.iter().any(|other| dying.binary_search(other).is_ok()) {
                continue;
            }
            let mut all: Vec<u32> = Vec::new();
            for other in links {
                if self.is_dead(*other as usize) {
                    all.extend(self.neighbours(*other, layer));
                } else {
                    all.push(*other);
                }
            }
            all.retain(|other| {
                *other != own && !self.is_dead(*other as usize) && self.layers(*other) >= layer
            });
            all.sort_unstable();
            all.dedup();
            let mut hits: Vec<Hit> = all
                .into_iter()
                .map(|other| Hit {
                    cosine: between(rows, None, own, other),
                    place: other,
                })
                .collect();
            hits.sort_unstable_by(|a, b| b.cmp(a));
            let most = if layer == 0 { LOWEST } else { UPPER };
            let links = Self::choose(rows, None, &hits, most);
            self.link(own, layer, links);
        }
    }

    /// All links of a place, from the lowest layer up, for a file.
    pub(super) fn links(&self, place: u32) -> impl Iterator<Item = &[u32]> {
        (0..=self.layers(place)).map(move |layer| self.neighbours(place, layer))
    }

    /// Where a search starts, for a file.
    pub(super) fn entry(&self) -> Option<u32> {
        self.entry
    }

    /// A graph from a file's links. None if they lead astray.
    pub(super) fn from_links(all: Vec<Vec<Vec<u32>>>, entry: u32) -> Option<Self> {
        let count = all.len();
        let mut graph = Self {
            states: vec![State::Alive; count],
            entry: Some(entry),
            ..Self::default()
        };
        let heights: Vec<usize> = all.iter().map(Vec::len).collect();
        for (place, layers) in (0_u32..).zip(all) {
            for (layer, links) in layers.iter().enumerate() {
                let most = if layer == 0 { LOWEST } else { UPPER };
                let good = |other: &u32| heights.get(*other as usize).is_some_and(|height| *height > layer);
                if links.len() > most || !links.iter().all(good) {
                    return None;
                }
            }
            let mut layers = layers.into_iter();
            graph.lowest.push(layers.next()?);
            let above: Vec<Vec<u32>> = layers.collect();
            if above.len() > usize::from(HIGHEST) {
                return None;
            }
            if !above.is_empty() {
                graph.upper.insert(place, above);
            }
        }
        ((entry as usize) < count).then_some(graph)
    }
}

/// The cosine between two places, one of which may be new.
fn between(rows: &Rows, new: Option<&New<'_>>, one: u32, two: u32) -> f32 {
    match new {
        Some(new) if new.place == one => rows.cosine(two as usize, &new.vector.codes, new.vector.scale),
        Some(new) if new.place == two => rows.cosine(one as usize, &new.vector.codes, new.vector.scale),
        _ => rows.cosine(one as usize, rows.codes(two as usize), rows.scale(two as usize)),
    }
}

/// How many layers above the lowest a vector is on: one in sixteen on each next one. Told by its number, so that the same
/// writes make the same graph.
fn layers_of(id: u64) -> usize {
    let mut mixed = id.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    (mixed.trailing_zeros() as usize / 4).min(usize::from(HIGHEST))
}
