//! Whether there is room for what is wanted in what this replica may use, and what happens where nobody can be asked.

use super::{Link, Moment, amount};
use crate::budget::Purse;
use crate::denial::Refused;
use crate::share::{Allotment, InUse, percent_of};
use crate::sharing::WhenDown;
use crate::wanted::Wanted;

pub(super) fn in_use_of(purse: &Purse) -> InUse {
    let used = purse.spent;
    InUse {
        used,
        all: used.saturating_add(purse.reserved),
    }
}

/// Whether nothing of it is taken for what is under way.
pub(super) fn is_settled(in_use: InUse) -> bool {
    in_use.used == in_use.all
}

/// Whether there is room for `wanted` beside what is in use; where nobody can be asked, within a share of the limit
/// that is looked at beside it: what of it is in use here, and the limit.
pub(super) fn room(
    allotment: &mut Allotment,
    in_use: InUse,
    (here, wanted, limit): (i64, i64, u64),
    now: Moment,
    link: Link,
    refused: Refused,
) -> Result<(), Refused> {
    allotment.expire(in_use, now.running, link.life);
    if allotment.has_room(in_use, wanted) {
        return Ok(());
    }
    match (link.is_up, link.when_down) {
        (true, _) if allotment.is_refused(wanted, now.running) => Err(refused),
        (true, _) => Err(Refused::Share),
        (false, WhenDown::Closed) => Err(Refused::Unreachable),
        (false, WhenDown::Local { percent }) => {
            let share = percent_of(amount(limit), percent).max(1);
            if here.saturating_add(wanted) <= share {
                Ok(())
            } else {
                Err(refused)
            }
        }
    }
}

pub(super) fn purse_room(
    purse: &mut Purse,
    wanted: &Wanted<'_>,
    now: Moment,
    link: Link,
) -> Result<(), Refused> {
    let Some(limit) = purse.rule.amount() else {
        return Ok(());
    };
    if !purse.rule.is_about(wanted.model) {
        return Ok(());
    }
    let wanted = purse.wanted(wanted);
    // Of requests and tokens nothing is refused that wants none, as parts of a request do.
    if wanted == 0 && purse.rule.counted().is_some() {
        return Ok(());
    }
    // What is known here of a window that slides may have left it by now, and others have used more: they are asked.
    if wanted > limit || (purse.total() > limit && !purse.slides()) {
        return Err(refused(purse, wanted, now, None));
    }
    let in_use = in_use_of(purse);
    if purse.slides() {
        // What it held when it fell silent is others' once a window has passed.
        purse.share.expire(in_use, now.running, link.life);
    }
    if purse.share.has_room(in_use, wanted) {
        return Ok(());
    }
    match (link.is_up, link.when_down) {
        (true, _) if purse.share.is_refused(wanted, now.running) => Err(refused(purse, wanted, now, None)),
        (true, _) => Err(Refused::Share),
        (false, WhenDown::Closed) => Err(Refused::Unreachable),
        (false, WhenDown::Local { percent }) if purse.share.has_room_alone(in_use, wanted, percent) => Ok(()),
        (false, WhenDown::Local { .. }) => Err(refused(purse, wanted, now, None)),
    }
}

/// A budget or quota has no room, counting what others hold of it.
pub(super) fn refused(purse: &Purse, wanted: i64, now: Moment, wait: Option<u64>) -> Refused {
    purse.refused((purse.total(), purse.held(), wanted), now.unix_ms, wait)
}
