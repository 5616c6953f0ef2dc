//! A window of any length that slides: what was used in it, in buckets of a hundredth of its length.
//!
//! A bucket counts whole until the last moment that lies in it has left the window. So whatever window of that length
//! one looks at, nothing that was used in it is left out; and what was used is free again at most one bucket later than
//! exactly.

use std::collections::VecDeque;

use pointsman_store::BudgetWindow;

/// Buckets of a window.
const PARTS: i64 = 100;

/// How long a window is, and how finely it is counted, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grain {
    pub(crate) length: i64,
    /// Of a bucket.
    pub(crate) width: i64,
}

impl Grain {
    /// Of a window that slides; others have none.
    pub(crate) fn of(window: BudgetWindow) -> Option<Self> {
        let BudgetWindow::Sliding(seconds) = window else {
            return None;
        };
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX).max(1);
        // No window is longer than ten years: nothing here comes near the end of the numbers.
        let length = seconds.min(i64::MAX / 4_000) * 1_000;
        Some(Self {
            length,
            width: (length + PARTS - 1) / PARTS,
        })
    }

    /// The bucket of a time, Unix milliseconds.
    pub(crate) fn bucket(self, at: i64) -> i64 {
        at.div_euclid(self.width)
    }

    /// When a bucket has left the window.
    fn end(self, bucket: i64) -> i64 {
        (bucket + 1) * self.width + self.length
    }

    /// What happened before this has left the window that ends now.
    pub(crate) fn since(self, now: i64) -> i64 {
        now - self.length - self.width
    }
}

/// What was used in a window that slides.
#[derive(Debug, Clone)]
pub(crate) struct Sliding {
    grain: Grain,
    /// The oldest first, each with what was used in it; empty ones are left out.
    buckets: VecDeque<(i64, i64)>,
    sum: i64,
    /// The bucket of now.
    newest: i64,
}

impl Sliding {
    /// What was used before: by bucket, the oldest first.
    pub(crate) fn new(grain: Grain, before: &[(i64, i64)], now: i64) -> Self {
        let mut all = Self {
            grain,
            buckets: VecDeque::new(),
            sum: 0,
            newest: grain.bucket(now),
        };
        for (bucket, amount) in before {
            all.add_to((*bucket).min(all.newest), *amount);
        }
        all.advance(now);
        all
    }

    /// Moves on; what has left the window goes. A clock that goes back brings nothing back; one that goes back by more
    /// than the window was wrong before, and what was used by it counts as used now.
    pub(crate) fn advance(&mut self, now: i64) {
        let bucket = self.grain.bucket(now);
        if self.newest > bucket.saturating_add(PARTS) {
            self.go_back_to(bucket);
        }
        self.newest = self.newest.max(bucket);
        while let Some((bucket, amount)) = self.buckets.front()
            && self.grain.end(*bucket) <= now
        {
            self.sum = self.sum.saturating_sub(*amount);
            self.buckets.pop_front();
        }
    }

    fn go_back_to(&mut self, bucket: i64) {
        self.newest = bucket;
        let mut later = 0_i64;
        while let Some((of, amount)) = self.buckets.back()
            && *of > bucket
        {
            later = later.saturating_add(*amount);
            self.buckets.pop_back();
        }
        self.sum = self.sum.saturating_sub(later);
        self.add(later);
    }

    /// All that was used.
    pub(crate) fn sum(&self) -> i64 {
        self.sum
    }

    /// Adds to what is used now.
    pub(crate) fn add(&mut self, amount: i64) {
        self.add_to(self.newest, amount);
    }

    fn add_to(&mut self, bucket: i64, amount: i64) {
        // Beyond what can be counted, nothing more is.
        let amount = amount.clamp(0, i64::MAX - self.sum);
        if amount == 0 {
            return;
        }
        self.sum += amount;
        match self.buckets.back_mut() {
            Some((last, sum)) if *last >= bucket => *sum += amount,
            _ => self.buckets.push_back((bucket, amount)),
        }
    }

    /// Comes to a sum that somebody else knows better: what is more counts as used now, what is less is missing where it
    /// was oldest.
    pub(crate) fn come_to(&mut self, sum: i64) {
        self.add(sum.saturating_sub(self.sum));
        let mut over = self.sum - sum.max(0);
        while over > 0
            && let Some((_, amount)) = self.buckets.front_mut()
        {
            let taken = over.min(*amount);
            *amount -= taken;
            self.sum -= taken;
            over -= taken;
            if *amount == 0 {
                self.buckets.pop_front();
            }
        }
    }

    /// When so much of what is used has left the window, Unix milliseconds; none where there is not so much.
    pub(crate) fn frees(&self, amount: i64) -> Option<i64> {
        let mut gone = 0_i64;
        for (bucket, used) in &self.buckets {
            gone = gone.saturating_add(*used);
            if gone >= amount {
                return Some(self.grain.end(*bucket));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grain(seconds: u64) -> Grain {
        Grain::of(BudgetWindow::Sliding(seconds)).unwrap()
    }

    #[test]
    fn only_windows_that_slide_have_a_grain() {
        assert_eq!(Grain::of(BudgetWindow::Day), None);
        assert_eq!(Grain::of(BudgetWindow::Seconds(60)), None);
        let five_hours = grain(5 * 3_600);
        assert_eq!(five_hours.width, 3 * 60 * 1_000, "three minutes of five hours");
        assert_eq!(grain(1).width, 10);
        assert!(grain(u64::MAX).width > 0);
    }

    #[test]
    fn what_was_used_leaves_bucket_by_bucket() {
        let mut window = Sliding::new(grain(100), &[], 0);
        window.add(5);
        window.advance(1_500);
        window.add(7);
        // The first bucket ends at 1 s, and has left at 101 s.
        window.advance(100_999);
        assert_eq!(window.sum(), 12);
        assert_eq!(window.frees(1), Some(101_000));
        assert_eq!(window.frees(5), Some(101_000));
        assert_eq!(window.frees(6), Some(102_000));
        assert_eq!(window.frees(13), None);
        window.advance(101_000);
        assert_eq!(window.sum(), 7);
        window.advance(102_000);
        assert_eq!((window.sum(), window.frees(1)), (0, None));
    }

    #[test]
    fn what_was_before_is_found_again() {
        let window = Sliding::new(grain(100), &[(-150, 9), (0, 5), (1, 7), (999, 1)], 50_000);
        assert_eq!(
            window.sum(),
            13,
            "what has left is left out, what is to come is now"
        );
        assert_eq!(window.frees(13), Some(151_000));
    }

    #[test]
    fn another_sum_counts_as_used_now() {
        let mut window = Sliding::new(grain(100), &[(0, 5), (1, 7)], 3_000);
        window.come_to(20);
        assert_eq!((window.sum(), window.frees(13)), (20, Some(104_000)));
        window.come_to(9);
        assert_eq!((window.sum(), window.frees(1)), (9, Some(102_000)));
        window.come_to(-1);
        assert_eq!((window.sum(), window.frees(1)), (0, None));
    }

    #[test]
    fn a_clock_that_goes_back_frees_nothing() {
        let mut window = Sliding::new(grain(100), &[], 50_000);
        window.add(5);
        window.advance(10_000);
        window.add(5);
        window.advance(150_999);
        assert_eq!(window.sum(), 10);
        window.advance(151_000);
        assert_eq!(window.sum(), 0);
    }

    #[test]
    fn a_clock_that_was_far_ahead_keeps_nothing_for_long() {
        let mut window = Sliding::new(grain(100), &[], 50_000);
        window.add(5);
        window.advance(60_000);
        window.add(1);
        window.advance(155_000);
        window.add(2);
        window.advance(3_000_000);
        window.add(7);
        window.advance(155_500);
        assert_eq!(window.sum(), 7);
        window.add(3);
        assert_eq!(window.frees(10), Some(256_000));
        window.advance(255_999);
        assert_eq!(window.sum(), 10);
        window.advance(256_000);
        assert_eq!(window.sum(), 0);
    }

    proptest! {
        /// Whoever uses what there is room for never uses more than the limit in any window, told by exact times; and what
        /// was used is free again at most one bucket late.
        #[test]
        fn no_window_holds_more_than_the_limit(
            seconds in 1_u64..40,
            limit in 1_i64..50,
            steps in proptest::collection::vec((0_i64..9_000, 1_i64..20), 1..120),
        ) {
            let grain = grain(seconds);
            let mut window = Sliding::new(grain, &[], 0);
            let mut exact: Vec<(i64, i64)> = Vec::new();
            let mut now = 0;
            for (pause, amount) in steps {
                now += pause;
                window.advance(now);
                let within = |length: i64| -> i64 {
                    let used = exact.iter().filter(|(at, _)| *at > now - length);
                    used.map(|(_, amount)| amount).sum()
                };
                prop_assert!(window.sum() >= within(grain.length), "something in the window is left out");
                prop_assert!(
                    window.sum() <= within(grain.length + grain.width),
                    "something is free later than one bucket"
                );
                if window.sum() + amount <= limit {
                    window.add(amount);
                    exact.push((now, amount));
                    continue;
                }
                // When there is enough room again is told exactly.
                let lacking = window.sum() + amount - limit;
                match window.frees(lacking) {
                    None => prop_assert!(amount > limit),
                    Some(at) => {
                        prop_assert!(at > now && at <= now + grain.length + grain.width);
                        let mut later = window.clone();
                        later.advance(at - 1);
                        prop_assert!(later.sum() + amount > limit);
                        later.advance(at);
                        prop_assert!(later.sum() + amount <= limit);
                    }
                }
            }
            // Every window, wherever it begins.
            for (begin, _) in &exact {
                let used = exact.iter().filter(|(at, _)| (*begin..*begin + grain.length).contains(at));
                prop_assert!(used.map(|(_, amount)| amount).sum::<i64>() <= limit);
            }
        }
    }
}
