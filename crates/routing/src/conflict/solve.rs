//! Whether a formula can hold: a search over what each dimension may still be, with three-valued evaluation.

/// A formula over dimensions, each with at most 64 values.
#[derive(Debug, Clone)]
pub(super) enum Formula {
    /// The dimension's value is one of these.
    In(usize, u64),
    /// All hold.
    All(Vec<Formula>),
    /// One holds.
    Any(Vec<Formula>),
    /// The other does not.
    Not(Box<Formula>),
}

impl Formula {
    pub(super) fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}

/// Most leaves that a search looks at.
const BOUND: usize = 200_000;

/// Whether the formula can hold, where dimensions have these values; none when the search would take too long.
pub(super) fn can_hold(formula: &Formula, dimensions: &[u64]) -> Option<bool> {
    let mut search = Search {
        possible: dimensions.to_vec(),
        left: BOUND,
    };
    search.run(formula)
}

struct Search {
    /// What each dimension may still be.
    possible: Vec<u64>,
    /// Leaves that may still be looked at.
    left: usize,
}

/// What is known of a formula.
enum Known {
    True,
    False,
    /// Not yet; this leaf would tell more.
    Open(usize, u64),
}

impl Search {
    fn run(&mut self, formula: &Formula) -> Option<bool> {
        match self.known(formula)? {
            Known::True => Some(true),
            Known::False => Some(false),
            Known::Open(dimension, values) => {
                let before = self.possible[dimension];
                for half in [before & values, before & !values] {
                    self.possible[dimension] = half;
                    let held = self.run(formula);
                    self.possible[dimension] = before;
                    match held {
                        Some(false) => {}
                        other => return other,
                    }
                }
                Some(false)
            }
        }
    }

    fn known(&mut self, formula: &Formula) -> Option<Known> {
        Some(match formula {
            Formula::In(dimension, values) => {
                self.left = self.left.checked_sub(1)?;
                let possible = self.possible[*dimension];
                if possible & values == 0 {
                    Known::False
                } else if possible & !values == 0 {
                    Known::True
                } else {
                    Known::Open(*dimension, *values)
                }
            }
            Formula::Not(inner) => match self.known(inner)? {
                Known::True => Known::False,
                Known::False => Known::True,
                open @ Known::Open(..) => open,
            },
            Formula::All(parts) => {
                let mut all = Known::True;
                for part in parts {
                    match self.known(part)? {
                        Known::False => return Some(Known::False),
                        Known::True => {}
                        open @ Known::Open(..) if matches!(all, Known::True) => all = open,
                        Known::Open(..) => {}
                    }
                }
                all
            }
            Formula::Any(parts) => {
                let mut any = Known::False;
                for part in parts {
                    match self.known(part)? {
                        Known::True => return Some(Known::True),
                        Known::False => {}
                        open @ Known::Open(..) if matches!(any, Known::False) => any = open,
                        Known::Open(..) => {}
                    }
                }
                any
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yes(dimension: usize) -> Formula {
        Formula::In(dimension, 0b10)
    }

    #[test]
    fn what_can_hold_is_found() {
        let two = [0b11, 0b11, 0b11];
        for (formula, expected) in [
            (Formula::All(vec![yes(0), yes(0).not()]), false),
            (Formula::Any(vec![yes(0), yes(0).not()]).not(), false),
            (
                Formula::All(vec![Formula::Any(vec![yes(0), yes(1)]), yes(0).not(), yes(1)]),
                true,
            ),
            (
                Formula::All(vec![
                    Formula::Any(vec![yes(0), yes(1)]),
                    Formula::Any(vec![yes(0).not(), yes(1)]),
                    yes(1).not(),
                ]),
                false,
            ),
            (Formula::All(Vec::new()), true),
            (Formula::Any(Vec::new()), false),
        ] {
            assert_eq!(can_hold(&formula, &two), Some(expected), "{formula:?}");
        }
        assert_eq!(can_hold(&Formula::In(0, 0b100), &[0b011]), Some(false));
    }

    #[test]
    fn what_takes_too_long_is_not_told() {
        // Of n pigeons in n - 1 holes, each pair of a hole excluded: hard for such a search.
        let (pigeons, holes) = (12, 11);
        let at = |pigeon: usize, hole: usize| yes(pigeon * holes + hole);
        let mut all: Vec<Formula> = (0..pigeons)
            .map(|pigeon| Formula::Any((0..holes).map(|hole| at(pigeon, hole)).collect()))
            .collect();
        for hole in 0..holes {
            for pigeon in 0..pigeons {
                let others = 0..pigeon;
                all.extend(others.map(|other| Formula::All(vec![at(pigeon, hole), at(other, hole)]).not()));
            }
        }
        assert_eq!(can_hold(&Formula::All(all), &vec![0b11; pigeons * holes]), None);
    }
}
