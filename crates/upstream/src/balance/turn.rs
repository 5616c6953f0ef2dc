//! Whose turn it is in a smooth weighted round robin, computed from the number of the turn alone.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The index into `weights` that turn number `turn` belongs to. Weights are at least 1, and there is at least one.
///
/// A round is as many turns as the sum of the weights W. In it, the k-th turn of a candidate with weight w is due at
/// (k + ½) / w of the round, and turns go in the order in which they are due. So each gets exactly its weight in
/// every round, spread evenly, and no state is needed but the counter.
///
/// The first turns of a round need not be gone through one by one: at (r - n/2) / W of the round at most r turns are
/// due and at least r - n, so that at most n + 1 steps lead to turn r.
pub(super) fn whose(turn: u64, weights: &[u32]) -> usize {
    let count = weights.len() as u64;
    if weights.windows(2).all(|pair| pair[0] == pair[1]) {
        return (turn % count.max(1)) as usize;
    }
    let round: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let rank = turn % round;
    let ahead = (2 * rank).saturating_sub(count);
    let served = |weight: u32| {
        if ahead == 0 {
            0
        } else {
            ((u128::from(weight) * u128::from(ahead) + u128::from(round)) / u128::from(2 * round)) as u64
        }
    };
    let mut done = 0;
    let mut due: BinaryHeap<Due> = weights
        .iter()
        .enumerate()
        .map(|(index, weight)| {
            let taken = served(*weight);
            done += taken;
            Due {
                taken,
                weight: *weight,
                index,
            }
        })
        .collect();
    while let Some(mut next) = due.peek_mut() {
        if done >= rank {
            return next.index;
        }
        next.taken += 1;
        done += 1;
    }
    0
}

/// The next turn of a candidate. The one that is due first is the greatest, as a heap wants it.
#[derive(PartialEq, Eq)]
struct Due {
    /// Turns that the candidate has had in this round.
    taken: u64,
    weight: u32,
    index: usize,
}

impl Ord for Due {
    /// By (2·taken + 1) / weight, the smaller first; among equals by position.
    fn cmp(&self, other: &Self) -> Ordering {
        let at = |due: &Self, by: &Self| u128::from(2 * due.taken + 1) * u128::from(by.weight);
        at(other, self)
            .cmp(&at(self, other))
            .then(other.index.cmp(&self.index))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(weights: &[u32]) -> Vec<usize> {
        let round: u32 = weights.iter().sum();
        (0..u64::from(round)).map(|turn| whose(turn, weights)).collect()
    }

    /// The same order, found by sorting all turns of a round by when they are due.
    fn sorted(weights: &[u32]) -> Vec<usize> {
        let mut turns: Vec<(u64, usize)> = Vec::new();
        let common: u64 = weights.iter().map(|weight| u64::from(*weight)).product();
        for (index, weight) in weights.iter().enumerate() {
            for k in 0..u64::from(*weight) {
                turns.push(((2 * k + 1) * common / u64::from(*weight), index));
            }
        }
        turns.sort_unstable();
        turns.into_iter().map(|(_, index)| index).collect()
    }

    #[test]
    fn goes_in_the_order_in_which_turns_are_due() {
        for weights in [
            &[1, 1][..],
            &[2, 1],
            &[5, 1, 1],
            &[3, 3, 2],
            &[1, 2, 3, 4, 5],
            &[100, 1],
            &[7, 11, 13],
            &[1; 20],
            &[1, 1, 1, 1, 1, 1, 1, 1, 40],
        ] {
            assert_eq!(round(weights), sorted(weights), "{weights:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_round_is_fair(weights in proptest::collection::vec(1u32..40, 1..12)) {
            let mut counts = vec![0u32; weights.len()];
            for index in round(&weights) {
                counts[index] += 1;
            }
            if weights.iter().any(|weight| *weight != weights[0]) {
                proptest::prop_assert_eq!(counts, weights);
            }
        }

        #[test]
        fn any_turn_is_somebodys(turn: u64, weights in proptest::collection::vec(1u32.., 1..12)) {
            proptest::prop_assert!(whose(turn, &weights) < weights.len());
        }
    }

    #[test]
    fn gives_everyone_their_weight_in_every_round() {
        let weights = [997, 1003, 1];
        let mut counts = [0u32; 3];
        for index in round(&weights) {
            counts[index] += 1;
        }
        assert_eq!(counts, weights);
        assert_eq!(whose(2001, &weights), whose(0, &weights));
    }
}
