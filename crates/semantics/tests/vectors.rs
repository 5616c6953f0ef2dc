//! The exact index against plain arithmetic; tenants never see each other's; what is saved comes back.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::collections::HashMap;

use pointsman_semantics::vectors::{VectorError, VectorIndex};
use proptest::prelude::*;

const WIDTH: usize = 24;

fn vector(seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..WIDTH)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
}

#[test]
fn the_nearest_are_found_within_their_tenant() {
    let mut index = VectorIndex::new(WIDTH, 10_000);
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
fn bounds_and_bad_vectors_are_told() {
    let mut index = VectorIndex::new(WIDTH, 2);
    index.put(1, 1, &vector(1)).unwrap();
    index.put(1, 2, &vector(2)).unwrap();
    assert_eq!(index.put(2, 3, &vector(3)), Err(VectorError::Full(2)));
    index.put(1, 2, &vector(4)).unwrap();
    assert_eq!(
        index.put(1, 1, &[1.0]),
        Err(VectorError::Width {
            expected: WIDTH,
            found: 1
        })
    );
    assert_eq!(index.put(1, 1, &[0.0; WIDTH]), Err(VectorError::Direction));
    assert_eq!(index.put(1, 1, &[f32::NAN; WIDTH]), Err(VectorError::Direction));
    let mut odd = vector(1);
    odd[3] = f32::NAN;
    assert_eq!(index.put(1, 1, &odd), Err(VectorError::Direction));
    assert_eq!(index.delete_tenant(1), 2);
    assert!(index.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn it_behaves_like_a_map(steps in prop::collection::vec((0_u64..3, 0_u64..12, 0_u8..3), 1..80)) {
        let mut index = VectorIndex::new(WIDTH, 1_000);
        let mut model: HashMap<(u64, u64), u64> = HashMap::new();
        for (step, (tenant, id, what)) in steps.into_iter().enumerate() {
            if what == 0 {
                prop_assert_eq!(index.delete(tenant, id), model.remove(&(tenant, id)).is_some());
            } else {
                let seed = step as u64 + 1;
                index.put(tenant, id, &vector(seed)).unwrap();
                model.insert((tenant, id), seed);
            }
        }
        let index = VectorIndex::load("vectors", &index.save().unwrap(), 1_000).unwrap();
        prop_assert_eq!(index.len(), model.len());
        for ((tenant, id), seed) in &model {
            let found = index.nearest(*tenant, &vector(*seed), 1, 0.99).unwrap();
            prop_assert_eq!(found[0].id, *id);
        }
        for tenant in 0..3 {
            let all = index.nearest(tenant, &vector(1), 100, -1.0).unwrap();
            prop_assert_eq!(all.len(), model.keys().filter(|(owner, _)| *owner == tenant).count());
            prop_assert!(all.is_sorted_by(|a, b| a.cosine >= b.cosine));
        }
    }
}

#[test]
fn a_damaged_or_overfull_file_is_refused() {
    let mut index = VectorIndex::new(WIDTH, 100);
    for id in 0..50 {
        index.put(id % 3, id, &vector(id)).unwrap();
    }
    let bytes = index.save().unwrap();
    assert!(VectorIndex::load("vectors", &bytes, 49).is_err());
    for end in (0..bytes.len()).step_by(37) {
        assert!(VectorIndex::load("vectors", &bytes[..end], 100).is_err());
    }
}
