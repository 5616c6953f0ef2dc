//! What this replica may use of a counter that several share: plain arithmetic over what was told last.

use std::time::Duration;

use pointsman_store::{Ask, CounterKind, Told};

/// How many requests of the same size a replica that had to ask wants to be able to serve before it asks again.
const AHEAD: i64 = 512;
/// How many rounds of its pace a replica wants to hold in advance.
const ROUNDS: i64 = 8;
/// How long a refusal is taken for the answer to whoever wants as much, milliseconds: a crowd that is refused does not
/// ask one by one.
const REFUSED: u64 = 25;
/// How often others hear of a counter of which this replica holds more than it uses, milliseconds.
const SPARE: u64 = 1_000;
/// So much of its life before the others take this replica for dead, it stops using what it holds.
const MARGIN: u64 = 5;

/// A counter as this replica has it. Amounts are absolute: `used` grows for as long as the process lives, the ceiling
/// is up to where it may.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Allotment {
    ceiling: i64,
    /// Wanted by requests that wait for an answer.
    asking: i64,
    version: u64,
    acknowledged: i64,
    /// Used by all, when it was told last.
    total: i64,
    /// How much of the total was this replica's.
    own: i64,
    /// Held by all, this one included.
    held: i64,
    /// What a replica may hold in advance.
    fair: i64,
    /// What nobody used or held.
    left: i64,
    /// Used when the pace was measured last, and how much was used from one round to the next.
    before: i64,
    pace: i64,
    /// When the last answer was asked for, milliseconds.
    heard: Option<u64>,
    /// Until when, and from which amount on, what is asked for is refused.
    refused: Option<(u64, i64)>,
}

/// What of a counter does not depend on where it stands.
pub(crate) struct Subject {
    pub(crate) key: String,
    pub(crate) kind: CounterKind,
    pub(crate) limit: Option<i64>,
    pub(crate) lifetime: Duration,
    /// Used in the last minute.
    pub(crate) recent: i64,
    pub(crate) corrections: (u64, Vec<(i64, i64)>),
}

/// How much of a counter is in use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InUse {
    /// For good.
    pub(crate) used: i64,
    /// For good, or taken for what is under way.
    pub(crate) all: i64,
}

impl Allotment {
    /// A counter of which all replicas have used `total`, by what the ledger says.
    pub(crate) fn known(total: i64, own: i64, limit: Option<i64>) -> Self {
        Self {
            total,
            own,
            left: limit.map_or(0, |limit| limit.saturating_sub(total).max(0)),
            before: own,
            ..Self::default()
        }
    }

    /// Whether `amount` more may be used without asking.
    pub(crate) fn has_room(&self, in_use: InUse, amount: i64) -> bool {
        in_use.all.saturating_add(amount) <= self.ceiling
    }

    /// The same where nobody can be asked, and `percent` of what was left may be used beside.
    pub(crate) fn has_room_alone(&self, in_use: InUse, amount: i64, percent: u8) -> bool {
        let beside = percent_of(self.left, percent);
        in_use.all.saturating_add(amount) <= self.ceiling.saturating_add(beside)
    }

    /// Whether who wants `amount` has been refused just now.
    pub(crate) fn is_refused(&self, amount: i64, now: u64) -> bool {
        self.refused
            .is_some_and(|(until, least)| now < until && amount >= least)
    }

    /// What it holds ends when the others take it for dead.
    pub(crate) fn expire(&mut self, in_use: InUse, now: u64, life: u64) {
        let is_over = self
            .heard
            .is_some_and(|heard| now > heard + (life - life / MARGIN));
        if is_over {
            self.ceiling = self.ceiling.min(in_use.all);
        }
    }

    /// Used by all, as far as it is known here.
    pub(crate) fn total(&self, used: i64) -> i64 {
        self.total.saturating_add(used.saturating_sub(self.own).max(0))
    }

    /// Held by others for what they may use.
    pub(crate) fn held_by_others(&self) -> i64 {
        let own = self.ceiling.saturating_sub(self.own).max(0);
        self.held.saturating_sub(own).max(0)
    }

    /// A request asks for `amount`, and waits.
    pub(crate) fn ask(&mut self, subject: Subject, in_use: InUse, amount: i64) -> Ask {
        self.asking = self.asking.saturating_add(amount);
        let need = in_use.all.saturating_add(amount);
        let asked = in_use.all.saturating_add(self.asking);
        let ahead = amount.saturating_mul(AHEAD).max(self.pace.saturating_mul(ROUNDS));
        self.form(subject, in_use, (Some(need), asked, asked.saturating_add(ahead)))
    }

    /// The request does not wait any more.
    pub(crate) fn asked(&mut self, amount: i64) {
        self.asking = self.asking.saturating_sub(amount).max(0);
    }

    /// Tells how it stands, once a round. What is held in advance becomes less when little is left.
    pub(crate) fn tell(&mut self, subject: Subject, in_use: InUse) -> Ask {
        let grown = in_use.used.max(in_use.all).saturating_sub(self.before).max(0);
        self.before = in_use.used.max(in_use.all);
        self.pace = grown.max(self.pace / 2);
        let floor = in_use.all.saturating_add(self.asking);
        let spare = self.ceiling.saturating_sub(floor);
        if spare > self.fair {
            // Nothing is left, or somebody goes short: then nothing is held in advance at all.
            let keep = if self.fair > 0 {
                self.fair.max(spare / 4)
            } else {
                0
            };
            self.ceiling = floor.saturating_add(keep);
        }
        let want = floor.saturating_add(self.pace.saturating_mul(ROUNDS));
        self.form(subject, in_use, (None, floor, want))
    }

    /// Gives back what is not used, for good where the process `ends`.
    pub(crate) fn give_back(&mut self, subject: Subject, in_use: InUse, ends: bool) -> Ask {
        self.ceiling = in_use.all;
        let nothing = if ends {
            Ask::ENDS
        } else {
            in_use.used.saturating_sub(1)
        };
        self.form(subject, in_use, (None, in_use.all, nothing))
    }

    fn form(&self, subject: Subject, in_use: InUse, (need, asked, want): (Option<i64>, i64, i64)) -> Ask {
        let hold = self.ceiling.max(in_use.all);
        Ask {
            key: subject.key,
            kind: subject.kind,
            limit: subject.limit,
            used: in_use.used,
            acknowledged: self.acknowledged,
            recent: subject.recent,
            hold,
            need: need.unwrap_or(hold),
            asked,
            want,
            version: self.version,
            corrections: subject.corrections,
            ledger: None,
            lifetime: subject.lifetime,
        }
    }

    /// Takes over what was told; older answers than the last are not heeded. Says whether it was.
    pub(crate) fn heed(&mut self, told: &Told, ask: &Ask, asked_at: u64) -> bool {
        if told.version <= self.version {
            return false;
        }
        self.version = told.version;
        self.ceiling = told.ceiling;
        self.acknowledged = self.acknowledged.max(ask.used);
        self.total = told.total;
        self.own = told.own;
        self.held = told.held;
        self.fair = told.fair;
        self.left = ask.limit.map_or(0, |limit| {
            limit.saturating_sub(told.total).saturating_sub(told.held).max(0)
        });
        self.heard = Some(asked_at);
        true
    }

    /// `amount` was refused.
    pub(crate) fn refuse(&mut self, amount: i64, now: u64) {
        self.refused = Some((now + REFUSED, amount));
    }

    /// Whether all that was used is known to the others.
    pub(crate) fn is_told(&self, used: i64) -> bool {
        self.acknowledged == used && self.heard.is_some()
    }

    /// Whether it is to be told of in this round: something has changed, others may need what it holds in advance, or
    /// they would take this replica for dead.
    pub(crate) fn is_due(&self, in_use: InUse, now: u64, life: u64) -> bool {
        let since = self.heard.map_or(u64::MAX, |heard| now.saturating_sub(heard));
        self.acknowledged != in_use.used
            || since >= life / MARGIN
            || (self.has_spare(in_use) && since >= SPARE)
    }

    /// Whether it holds anything that it does not use.
    pub(crate) fn has_spare(&self, in_use: InUse) -> bool {
        self.ceiling > in_use.all
    }
}

/// So many hundredths of an amount.
pub(crate) fn percent_of(amount: i64, percent: u8) -> i64 {
    let part = i128::from(amount) * i128::from(percent) / 100;
    i64::try_from(part).unwrap_or(i64::MAX)
}

/// Corrections of earlier seconds, each counted once however often it is sent.
#[derive(Debug, Default)]
pub(crate) struct Corrections {
    open: Vec<(i64, i64)>,
    sent: Vec<(i64, i64)>,
    number: u64,
    is_out: bool,
}

impl Corrections {
    /// Notes that in a second of the server's `amount` more was used than was told.
    pub(crate) fn note(&mut self, second: i64, amount: i64) {
        match self.open.iter_mut().find(|(of, _)| *of == second) {
            Some((_, sum)) => *sum = sum.saturating_add(amount),
            None => self.open.push((second, amount)),
        }
    }

    /// What is to be sent: what was not answered before what is new; nothing while some is on its way.
    pub(crate) fn take(&mut self, now: i64) -> (u64, Vec<(i64, i64)>) {
        self.open
            .retain(|(second, amount)| *amount != 0 && *second > now - 62);
        if self.is_out || (self.sent.is_empty() && self.open.is_empty()) {
            return (0, Vec::new());
        }
        if self.sent.is_empty() {
            self.sent = std::mem::take(&mut self.open);
            self.number += 1;
        }
        self.is_out = true;
        (self.number, self.sent.clone())
    }

    /// What was sent under this number has been answered, or not.
    pub(crate) fn came_back(&mut self, number: u64, answered: bool) {
        if number != 0 && number == self.number {
            self.is_out = false;
            if answered {
                self.sent.clear();
            }
        }
    }

    /// Whether there is something to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.sent.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use pointsman_store::Verdict;

    use super::*;

    fn subject() -> Subject {
        Subject {
            key: "c".to_owned(),
            kind: CounterKind::Minute,
            limit: Some(1_000),
            lifetime: Duration::from_secs(1),
            recent: 0,
            corrections: (0, Vec::new()),
        }
    }

    fn told(version: u64, ceiling: i64, fair: i64) -> Told {
        Told {
            verdict: Verdict::Granted,
            ceiling,
            version,
            total: 0,
            held: 0,
            fair,
            wait: 0,
            own: 0,
        }
    }

    fn used(amount: i64) -> InUse {
        InUse {
            used: amount,
            all: amount,
        }
    }

    #[test]
    fn only_who_ends_wants_to_be_forgotten() {
        let mut allotment = Allotment::default();
        let idle = allotment.give_back(subject(), used(5), false);
        assert_eq!((idle.hold, idle.want), (5, 4));
        assert_eq!(allotment.give_back(subject(), used(5), true).want, Ask::ENDS);
    }

    #[test]
    fn an_older_answer_does_not_undo_a_newer_one() {
        let mut allotment = Allotment::default();
        let ask = allotment.ask(subject(), used(0), 10);
        assert_eq!((ask.hold, ask.need, ask.asked), (0, 10, 10));
        let second = allotment.ask(subject(), used(0), 10);
        assert_eq!(
            (second.need, second.asked),
            (10, 20),
            "both who wait are asked for"
        );
        allotment.heed(&told(2, 20, 100), &second, 5);
        allotment.heed(&told(1, 10, 100), &ask, 5);
        assert!(allotment.has_room(used(10), 10));
    }

    #[test]
    fn what_is_held_in_advance_becomes_less_with_what_is_left() {
        let mut allotment = Allotment::default();
        let ask = allotment.ask(subject(), used(0), 10);
        allotment.asked(10);
        allotment.heed(&told(1, 400, 20), &ask, 5);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(allotment.tell(subject(), used(0)).hold);
        }
        assert_eq!(held, [100, 25, 20, 20]);
        let ask = allotment.tell(subject(), used(0));
        allotment.heed(&told(2, 20, 0), &ask, 6);
        assert_eq!(allotment.tell(subject(), used(0)).hold, 0);
        assert!(
            !allotment.has_room(used(0), 1),
            "it is lower here before it is told"
        );
    }

    #[test]
    fn what_others_take_for_dead_is_not_used() {
        let mut allotment = Allotment::default();
        let ask = allotment.ask(subject(), used(0), 10);
        allotment.heed(&told(1, 400, 0), &ask, 1_000);
        allotment.expire(used(7), 9_000, 10_000);
        assert!(allotment.has_room(used(7), 1));
        allotment.expire(used(7), 9_001, 10_000);
        assert!(!allotment.has_room(used(7), 1));
    }

    #[test]
    fn a_correction_is_sent_until_it_is_answered_and_then_no_more() {
        let mut corrections = Corrections::default();
        corrections.note(100, -5);
        corrections.note(100, -5);
        corrections.note(30, -1);
        let first = corrections.take(100);
        assert_eq!(
            first,
            (1, vec![(100, -10)]),
            "what has left the minute is nobody's"
        );
        corrections.note(101, -3);
        assert_eq!(corrections.take(101).0, 0, "one at a time");
        corrections.came_back(1, false);
        assert_eq!(corrections.take(101), first);
        corrections.came_back(1, true);
        assert_eq!(corrections.take(101), (2, vec![(101, -3)]));
        corrections.came_back(2, true);
        assert!(corrections.is_empty());
    }
}
