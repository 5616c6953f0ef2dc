//! The index against plain arithmetic, and its graph against the exact search; tenants never see each other's; bounds hold;
//! what is saved comes back, and what is damaged is refused.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use pointsman_semantics::vectors::{Evicted, Limits, VectorError, VectorIndex};
use proptest::prelude::*;

const WIDTH: usize = 24;

fn random(state: &mut u64) -> f32 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 40) as f32 / (1 << 23) as f32 - 1.0
}

fn vector(seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..WIDTH).map(|_| random(&mut state)).collect()
}

/// Vectors in clusters, as those of texts are.
fn clustered(seed: u64) -> Vec<f32> {
    let mut centre = (seed % 40).wrapping_mul(0xD134_2543_DE82_EF95) | 1;
    let mut own = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..WIDTH)
        .map(|_| random(&mut centre) + 0.4 * random(&mut own))
        .collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
}

fn limits(exact: usize) -> Limits {
    Limits {
        vectors: 10_000,
        bytes: 1 << 26,
        exact,
    }
}

/// Share of the ten nearest that are found.
fn recall(index: &VectorIndex, tenant: u64, queries: impl Iterator<Item = u64>) -> f64 {
    let (mut found, mut all) = (0, 0);
    for query in queries {
        let wanted = clustered(query);
        let exact = index.nearest_exact(tenant, &wanted, 10, -1.0).unwrap();
        let near = index.nearest(tenant, &wanted, 10, -1.0).unwrap();
        found += exact
            .iter()
            .filter(|one| near.iter().any(|other| other.id == one.id))
            .count();
        all += exact.len();
    }
    found as f64 / f64::from(u32::try_from(all).unwrap())
}

#[test]
fn the_nearest_are_found_within_their_tenant() {
    let index = VectorIndex::new(WIDTH, limits(1_000));
    for tenant in 0..3 {
        for id in 0..500 {
            index.put(tenant, id, &vector(tenant * 10_000 + id)).unwrap();
        }
    }
    for query in 0..50 {
        let wanted = vector(77_777 + query);
        let found = index.nearest(1, &wanted, 5, -1.0).unwrap();
        let mut exact: Vec<(f32, u64)> = (0..500)
            .map(|id| (cosine(&wanted, &vector(10_000 + id)), id))
            .collect();
        exact.sort_by(|a, b| b.0.total_cmp(&a.0));
        assert_eq!(found.len(), 5);
        for (near, (cosine_at, _)) in found.iter().zip(&exact) {
            assert!((near.cosine - cosine_at).abs() < 0.02, "{near:?} {cosine_at}");
            assert!((near.cosine - cosine(&wanted, &vector(10_000 + near.id))).abs() < 0.02);
        }
    }
    let same = index.nearest(2, &vector(20_007), 1, 0.9).unwrap();
    assert_eq!(same[0].id, 7);
    assert!(same[0].cosine > 0.999);
    assert!(index.nearest(0, &vector(20_007), 1, 0.99).unwrap().is_empty());
    assert!(index.nearest(9, &vector(1), 5, -1.0).unwrap().is_empty());
    assert!(index.nearest(0, &vector(1), 0, -1.0).unwrap().is_empty());
}

#[test]
fn bad_vectors_are_told() {
    let index = VectorIndex::new(WIDTH, limits(1_000));
    let width = VectorError::Width {
        expected: WIDTH,
        found: 1,
    };
    assert_eq!(index.put(1, 1, &[1.0]), Err(width));
    assert_eq!(index.put(1, 1, &[0.0; WIDTH]), Err(VectorError::Direction));
    let mut odd = vector(1);
    odd[3] = f32::NAN;
    assert_eq!(index.put(1, 1, &odd), Err(VectorError::Direction));
    assert!(index.is_empty());
    let none = VectorIndex::new(
        WIDTH,
        Limits {
            vectors: 0,
            ..limits(10)
        },
    );
    assert_eq!(none.put(1, 1, &vector(1)), Err(VectorError::NoRoom));
    let tight = VectorIndex::new(
        WIDTH,
        Limits {
            bytes: 100,
            ..limits(10)
        },
    );
    assert_eq!(tight.put(1, 1, &vector(1)), Err(VectorError::NoRoom));
}

#[test]
fn the_oldest_of_the_largest_tenant_goes() {
    let index = VectorIndex::new(
        WIDTH,
        Limits {
            vectors: 5,
            ..limits(100)
        },
    );
    for id in 0..3 {
        assert_eq!(index.put(1, id, &vector(id)).unwrap(), []);
    }
    index.put(2, 0, &vector(20)).unwrap();
    index.put(2, 1, &vector(21)).unwrap();
    // Put anew, the first is the youngest.
    assert_eq!(index.put(1, 0, &vector(30)).unwrap(), []);
    assert_eq!(
        index.put(2, 2, &vector(22)).unwrap(),
        [Evicted { tenant: 1, id: 1 }]
    );
    assert_eq!(
        index.put(2, 3, &vector(23)).unwrap(),
        [Evicted { tenant: 2, id: 0 }]
    );
    assert_eq!(index.len(), 5);
}

#[test]
fn a_flood_stays_within_its_bytes_and_spares_the_small() {
    let bytes = 1 << 20;
    let index = VectorIndex::new(
        WIDTH,
        Limits {
            vectors: usize::MAX,
            bytes,
            exact: 500,
        },
    );
    for id in 0..20 {
        index.put(7, id, &clustered(90_000 + id)).unwrap();
    }
    let mut gone = 0;
    for id in 0..12_000 {
        gone += index.put(1, id, &clustered(id)).unwrap().len();
        assert!(index.counted_bytes() <= bytes);
        if id % 500 == 0 {
            assert!(index.bytes() <= bytes + bytes / 4, "{} at {id}", index.bytes());
        }
    }
    assert!(gone > 1_000 && index.len() + gone == 12_020, "{gone}");
    assert!(index.linked(1));
    for id in 0..20 {
        assert_eq!(
            index.nearest(7, &clustered(90_000 + id), 1, 0.99).unwrap()[0].id,
            id
        );
    }
    // Those that came last are all there, and found.
    let young = (11_500..12_000).filter(|id| {
        let near = index.nearest(1, &clustered(*id), 1, 0.99).unwrap();
        near.first().is_some_and(|near| near.id == *id)
    });
    assert!(young.count() >= 495);
    assert!(recall(&index, 1, 50_000..50_100) > 0.95);
}

#[test]
fn the_graph_finds_what_the_exact_search_finds_while_much_is_deleted() {
    let index = VectorIndex::new(WIDTH, limits(300));
    for id in 0..4_000 {
        index.put(1, id, &clustered(id)).unwrap();
    }
    assert!(index.linked(1) && !index.linked(2));
    assert!(recall(&index, 1, 50_000..50_200) > 0.97);
    for id in (0..4_000).filter(|id| id % 3 != 0) {
        assert!(index.delete(1, id));
        if id % 400 == 1 {
            let near = index.nearest(1, &clustered(id), 20, -1.0).unwrap();
            assert!(near.iter().all(|near| near.id > id || near.id % 3 == 0), "{id}");
            assert_eq!(near.len(), 20);
        }
    }
    assert!(recall(&index, 1, 50_000..50_200) > 0.97);
    for id in 4_000..6_000 {
        index.put(1, id, &clustered(id)).unwrap();
    }
    assert!(recall(&index, 1, 50_000..50_200) > 0.97);
    // Few are left: they are compared one by one again.
    for id in 0..5_950 {
        index.delete(1, id);
    }
    assert!(!index.linked(1));
    assert_eq!(index.nearest(1, &clustered(5_990), 1, 0.99).unwrap()[0].id, 5_990);
    assert_eq!(index.delete_tenant(1), 50);
    assert!(index.is_empty() && index.counted_bytes() == 0);
}

#[test]
fn many_read_while_one_writes() {
    let index = VectorIndex::new(WIDTH, limits(200));
    for id in 0..100 {
        index.put(1, id, &clustered(id)).unwrap();
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (index, done) = (&index, &done);
            scope.spawn(move || {
                let mut round = 0;
                while !done.load(Ordering::Relaxed) || round < 50 {
                    // The first hundred are never touched, so they are always found.
                    let id = (round * 7 + reader) % 100;
                    let near = index.nearest(1, &clustered(id), 3, 0.9).unwrap();
                    assert_eq!(near[0].id, id);
                    round += 1;
                }
            });
        }
        for id in 100..2_000 {
            index.put(1, id, &clustered(id)).unwrap();
            if id % 3 == 0 {
                index.delete(1, id - 50);
                index.put(1, id - 50, &clustered(id - 50)).unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(index.len(), 2_000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn it_behaves_like_a_map(
        steps in prop::collection::vec((0_u64..3, 0_u64..40, 0_u8..4), 1..300),
        exact in prop::sample::select(vec![4_usize, 10, 1_000]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors");
        let index = VectorIndex::new(WIDTH, limits(exact));
        let mut model: HashMap<(u64, u64), u64> = HashMap::new();
        for (step, (tenant, id, what)) in steps.into_iter().enumerate() {
            if what == 0 {
                prop_assert_eq!(index.delete(tenant, id), model.remove(&(tenant, id)).is_some());
            } else {
                let seed = step as u64 + 1;
                prop_assert_eq!(index.put(tenant, id, &vector(seed)).unwrap(), []);
                model.insert((tenant, id), seed);
            }
        }
        index.save(&path).unwrap();
        let loaded = VectorIndex::load(&path, WIDTH, limits(exact)).unwrap();
        for index in [&index, &loaded] {
            prop_assert_eq!(index.len(), model.len());
            for ((tenant, id), seed) in &model {
                let found = index.nearest(*tenant, &vector(*seed), 1, 0.99).unwrap();
                prop_assert_eq!(found.first().map(|near| near.id), Some(*id));
            }
            for tenant in 0..3 {
                let all = index.nearest(tenant, &vector(1), 100, -1.0).unwrap();
                let own = model.keys().filter(|(owner, _)| *owner == tenant).count();
                prop_assert_eq!(all.len(), own);
                prop_assert!(all.is_sorted_by(|a, b| a.cosine >= b.cosine));
                prop_assert!(all.iter().all(|near| model.contains_key(&(tenant, near.id))));
            }
        }
    }
}

#[test]
fn a_graph_comes_back_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors");
    let index = VectorIndex::new(WIDTH, limits(200));
    for id in 0..1_500 {
        index.put(id % 2, id, &clustered(id)).unwrap();
    }
    for id in 0..100 {
        index.delete(0, id * 2);
    }
    index.save(&path).unwrap();
    let loaded = VectorIndex::load(&path, WIDTH, limits(200)).unwrap();
    assert!(loaded.linked(0) && loaded.linked(1) && loaded.len() == 1_400);
    assert!(recall(&loaded, 0, 50_000..50_100) > 0.95);
    for id in 2_000..2_500 {
        loaded.put(0, id, &clustered(id)).unwrap();
    }
    assert!(recall(&loaded, 0, 50_000..50_100) > 0.95);
    // Saving again replaces the file as a whole.
    loaded.save(&path).unwrap();
    assert_eq!(VectorIndex::load(&path, WIDTH, limits(200)).unwrap().len(), 1_900);
}

#[test]
fn a_damaged_or_overfull_file_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors");
    let index = VectorIndex::new(WIDTH, limits(20));
    for id in 0..150 {
        index.put(id % 3, id, &vector(id)).unwrap();
    }
    index.save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let refused = |bytes: &[u8], limits: Limits, width: usize| {
        std::fs::write(&path, bytes).unwrap();
        VectorIndex::load(&path, width, limits).unwrap_err().to_string()
    };
    let few = Limits {
        vectors: 149,
        ..limits(20)
    };
    assert!(refused(&bytes, few, WIDTH).contains("more vectors than the limits"));
    assert!(refused(&bytes, limits(20), 25).contains("24 columns, where 25 are wanted"));
    for end in (0..bytes.len()).step_by(37) {
        assert!(refused(&bytes[..end], limits(20), WIDTH).contains("remove it"));
    }
    for place in (16..bytes.len()).step_by(29) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x10;
        assert!(
            refused(&damaged, limits(20), WIDTH).contains("remove it"),
            "{place}"
        );
    }
    let missing = VectorIndex::load(&folder.path().join("none"), WIDTH, limits(20));
    assert!(missing.unwrap_err().to_string().contains("none"));
}
