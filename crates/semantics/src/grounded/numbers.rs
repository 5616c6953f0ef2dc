//! Numbers that several words tell together: `1.2 million`, `twenty-five`, `5 pm`, `half past ten`.

use super::words::{Text, Word};

/// Behind hours and minutes, written one after the other, so that a time is no other number.
const TIME: f64 = 0.015_625;

/// A time of day, as `09:30` is read.
pub(crate) fn time(digits: f64) -> f64 {
    digits + TIME
}

impl Text {
    /// Gives words that tell a number together the value that they tell, from word `begun` on.
    pub(crate) fn compose(&mut self, begun: usize) {
        for at in begun..self.words.len() {
            if at > begun {
                self.scaled(at);
                self.added(at);
            }
            self.timed(at);
        }
    }

    /// `1.2 million` and `five hundred` are one value, told by both words.
    fn scaled(&mut self, at: usize) {
        let (before, word) = (&self.words[at - 1], &self.words[at]);
        let scale = word
            .number
            .filter(|value| *value >= 100.0 && !word.look.digits && !is_time(*value));
        let Some((scale, few)) = scale.zip(before.number) else {
            return;
        };
        if few < scale && !is_time(few) && before.at.end < word.at.start {
            let grain = before.grain * scale;
            self.together([at - 1, at], few * scale, grain);
        }
    }

    /// `twenty-five`.
    fn added(&mut self, at: usize) {
        let (tens, ones) = (&self.words[at - 1], &self.words[at]);
        let written = tens.look.digits || ones.look.digits || tens.at.end + 1 != ones.at.start;
        let Some((ten, one)) = tens.number.zip(ones.number).filter(|_| !written) else {
            return;
        };
        if (20.0..=90.0).contains(&ten) && ten % 10.0 == 0.0 && (1.0..10.0).contains(&one) {
            self.together([at - 1, at], ten + one, 0.0);
        }
    }

    /// Times of day that are not written in 24 hours: the word that says so, and the number beside it.
    fn timed(&mut self, at: usize) {
        let told = |at: usize| self.words.get(at).map_or("", |word| self.text(word));
        match told(at) {
            "noon" | "midday" => self.together([at, at], time(1_200.0), 0.0),
            "midnight" => self.together([at, at], time(0.0), 0.0),
            half @ ("am" | "pm") if at > 0 => {
                let afternoon = half == "pm";
                if let Some(hours) = twelve(&self.words[at - 1], afternoon) {
                    self.clock([at - 1, at - 1], hours);
                }
            }
            // `p.m.`
            half @ ("a" | "p") if at > 0 && told(at + 1) == "m" => {
                let afternoon = half == "p";
                if let Some(hours) = twelve(&self.words[at - 1], afternoon) {
                    self.clock([at - 1, at - 1], hours);
                }
            }
            part @ ("half" | "quarter") if matches!(told(at + 1), "past" | "to") => {
                let Some(hour) = self.words.get(at + 2).and_then(|word| twelve(word, false)) else {
                    return;
                };
                let minutes = if part == "half" { 30.0 } else { 15.0 };
                let hours = if told(at + 1) == "past" {
                    hour + minutes
                } else {
                    hour - 40.0 - minutes
                };
                self.clock([at, at + 2], hours);
            }
            _ => {}
        }
    }

    fn clock(&mut self, words: [usize; 2], digits: f64) {
        for at in words {
            if let Some(word) = self.words.get_mut(at) {
                word.bare = word.bare.or(word.number);
            }
        }
        self.together(words, time(digits), 0.0);
    }

    fn together(&mut self, words: [usize; 2], value: f64, grain: f64) {
        for at in words {
            if let Some(word) = self.words.get_mut(at) {
                word.number = Some(value);
                word.grain = grain;
            }
        }
    }
}

fn is_time(value: f64) -> bool {
    (value.fract() - TIME).abs() < 1e-9
}

/// Hours and minutes of `5` or `5:30` in one of the halves of a day.
fn twelve(word: &Word, afternoon: bool) -> Option<f64> {
    let number = word.number?;
    let digits = if is_time(number) {
        number - TIME
    } else if number.fract() == 0.0 && (1.0..=12.0).contains(&number) {
        number * 100.0
    } else {
        return None;
    };
    let (hour, minutes) = ((digits / 100.0).floor(), digits % 100.0);
    if !(1.0..=12.0).contains(&hour) {
        return None;
    }
    let hour = hour % 12.0 + if afternoon { 12.0 } else { 0.0 };
    Some(hour * 100.0 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similar::Lexicon;

    fn numbers(text: &str) -> Vec<f64> {
        let text = Text::read(&Lexicon::shipped().unwrap(), text, 100);
        text.words.iter().filter_map(|word| word.number).collect()
    }

    #[test]
    fn words_tell_a_number_together() {
        for (text, wanted) in [
            ("1.2 million people", vec![1.2e6, 1.2e6]),
            ("twenty-five copies", vec![25.0, 25.0]),
            ("five hundred copies", vec![500.0, 500.0]),
            ("twenty, five", vec![20.0, 5.0]),
            ("room 20 five", vec![20.0, 5.0]),
        ] {
            assert_eq!(numbers(text), wanted, "{text}");
        }
    }

    #[test]
    fn times_of_a_day_are_read_in_24_hours() {
        for (text, wanted) in [
            ("until 5 pm", 1_700.0),
            ("until 5:30pm", 1_730.0),
            ("at 9 a.m.", 900.0),
            ("at 12 am", 0.0),
            ("at noon", 1_200.0),
            ("at half past ten", 1_030.0),
            ("at quarter to eleven", 1_045.0),
            ("at 17:00", 1_700.0),
        ] {
            assert_eq!(numbers(text).last(), Some(&time(wanted)), "{text}");
        }
        assert_eq!(numbers("I am 5"), [5.0]);
        assert_eq!(numbers("17 pm"), [17.0]);
    }
}
