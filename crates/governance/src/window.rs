//! A sliding window over the last minute, second by second.

use std::time::Duration;

/// Sixty whole seconds and the one that has begun: whatever minute one looks at lies within.
const SLOTS: usize = 61;

/// Amounts of the last minute. The sum never leaves out anything of the last 60 seconds, so that no minute, wherever
/// it begins, holds more than the limit.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    slots: [u64; SLOTS],
    sum: u64,
    /// The second of the newest slot.
    second: u64,
}

impl Window {
    pub(crate) fn new() -> Self {
        Self {
            slots: [0; SLOTS],
            sum: 0,
            second: 0,
        }
    }

    /// Moves on to `second`; what is older than a minute goes.
    pub(crate) fn advance(&mut self, second: u64) {
        if second <= self.second {
            return;
        }
        let steps = (second - self.second).min(SLOTS as u64);
        for step in 1..=steps {
            let slot = ((second - steps + step) % SLOTS as u64) as usize;
            self.sum -= self.slots[slot];
            self.slots[slot] = 0;
        }
        self.second = second;
    }

    /// The sum of the last minute.
    pub(crate) fn sum(&self) -> u64 {
        self.sum
    }

    /// Adds to the newest second, and says which it is.
    pub(crate) fn add(&mut self, amount: u64) -> u64 {
        self.slots[(self.second % SLOTS as u64) as usize] += amount;
        self.sum += amount;
        self.second
    }

    /// Turns `reserved`, added at `second`, into `actual`. What has left the window is settled already.
    pub(crate) fn correct(&mut self, second: u64, reserved: u64, actual: u64) {
        if self.second.saturating_sub(second) >= SLOTS as u64 {
            return;
        }
        let slot = &mut self.slots[(second % SLOTS as u64) as usize];
        *slot = *slot - reserved + actual;
        self.sum = self.sum - reserved + actual;
    }

    /// How long until `amount` fits under `limit`; none when it never will.
    pub(crate) fn wait(&self, amount: u64, limit: u64) -> Option<Duration> {
        let mut sum = self.sum;
        for age in (0..SLOTS as u64).rev() {
            if sum.saturating_add(amount) <= limit {
                return Some(Duration::from_secs(SLOTS as u64 - 1 - age));
            }
            if age <= self.second {
                sum -= self.slots[((self.second - age) % SLOTS as u64) as usize];
            }
        }
        (sum.saturating_add(amount) <= limit).then_some(Duration::from_secs(SLOTS as u64))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_minute_is_a_minute() {
        let mut window = Window::new();
        window.advance(100);
        window.add(5);
        window.advance(160);
        assert_eq!(window.sum(), 5, "60 seconds later it may still count");
        window.advance(161);
        assert_eq!(window.sum(), 0);
    }

    #[test]
    fn the_wait_is_as_long_as_it_takes() {
        let mut window = Window::new();
        window.advance(10);
        window.add(6);
        window.advance(20);
        window.add(4);
        assert_eq!(window.wait(1, 10), Some(Duration::from_secs(51)));
        assert_eq!(window.wait(11, 10), None);
        window.advance(71);
        assert_eq!(window.wait(6, 10), Some(Duration::ZERO));
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_a_plain_list(steps in proptest::collection::vec((0_u64..40, 0_u64..10, any::<bool>()), 1..60)) {
            let mut window = Window::new();
            let mut plain: Vec<(u64, u64)> = Vec::new();
            let mut second = 0;
            for (pause, amount, correct) in steps {
                second += pause;
                window.advance(second);
                let at = window.add(amount);
                plain.push((at, amount));
                if correct {
                    let (at, amount) = plain[plain.len() / 2];
                    window.correct(at, amount, amount / 2);
                    let middle = plain.len() / 2;
                    plain[middle].1 = amount / 2;
                }
                let expected: u64 = plain.iter().filter(|(at, _)| second - at < SLOTS as u64).map(|(_, amount)| amount).sum();
                prop_assert_eq!(window.sum(), expected);
            }
        }
    }
}
