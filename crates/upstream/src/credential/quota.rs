//! How much of something may be used in any minute.

/// Slices of the minute; the oldest is forgotten as a whole, so the limit holds for every minute.
const SLICES: usize = 12;
const SLICE_MICROS: u64 = 60_000_000 / SLICES as u64;

/// A limit for any minute.
#[derive(Debug)]
pub(super) struct Quota {
    limit: u64,
    /// One more than a minute's worth: the running slice has only begun.
    used: [u64; SLICES + 1],
    tick: u64,
}

impl Quota {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            used: [0; SLICES + 1],
            tick: 0,
        }
    }

    /// Microseconds until `amount` can be used; 0 for at once. What is larger than the limit itself goes alone.
    pub(super) fn wait(&mut self, amount: u64, now: u64) -> u64 {
        self.advance(now);
        let mut sum: u64 = self.used.iter().sum();
        if sum == 0 || sum.saturating_add(amount) <= self.limit {
            return 0;
        }
        for age in (0..=SLICES as u64).rev() {
            let Some(tick) = self.tick.checked_sub(age) else {
                continue;
            };
            sum = sum.saturating_sub(self.used[slot(tick)]);
            if sum == 0 || sum.saturating_add(amount) <= self.limit {
                let free = (tick + SLICES as u64 + 1) * SLICE_MICROS;
                return free.saturating_sub(now).max(1);
            }
        }
        60_000_000
    }

    pub(super) fn take(&mut self, amount: u64, now: u64) {
        self.advance(now);
        let slot = slot(self.tick);
        self.used[slot] = self.used[slot].saturating_add(amount);
    }

    fn advance(&mut self, now: u64) {
        let tick = now / SLICE_MICROS;
        let passed = tick.saturating_sub(self.tick).min(SLICES as u64 + 1);
        for age in 0..passed {
            self.used[slot(tick - age)] = 0;
        }
        self.tick = self.tick.max(tick);
    }
}

fn slot(tick: u64) -> usize {
    usize::try_from(tick % (SLICES as u64 + 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_holds_more_than_the_limit() {
        let mut quota = Quota::new(10);
        let mut taken: Vec<u64> = Vec::new();
        for step in 0..2_000_u64 {
            let now = 7_000_000 + step * 370_000;
            if quota.wait(1, now) == 0 {
                quota.take(1, now);
                taken.push(now);
            }
        }
        assert!(taken.len() > 60, "{}", taken.len());
        for at in &taken {
            let minute = taken
                .iter()
                .filter(|other| (*at..*at + 60_000_000).contains(*other));
            assert!(minute.count() <= 10);
        }
    }

    #[test]
    fn the_wait_is_what_it_takes() {
        let mut quota = Quota::new(100);
        quota.take(60, 1_000_000);
        quota.take(40, 20_000_000);
        let wait = quota.wait(50, 30_000_000);
        assert!((31_000_000..=36_000_000).contains(&wait), "{wait}");
        assert_eq!(quota.wait(50, 30_000_000 + wait), 0);
        assert_eq!(Quota::new(10).wait(500, 0), 0, "alone, what is larger may go");
    }
}
