//! A text of any length through an encoder: windows, a few at a time, each window's rows handed on as they come out. Memory
//! is that of one group of windows, time is linear in the text.

use std::ops::Range;

use crate::encoder::{Encoder, Scratch, States};
use crate::kernels::Machine;
use crate::tokenize::{Frame, Token, windows};

/// How a text is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Tokens of a window, frame included.
    pub size: usize,
    /// Tokens that two windows share, at least.
    pub overlap: usize,
    /// Tokens that go through the encoder together, about: few enough that what lies between two layers stays in the cache,
    /// enough that weights are not read for each window anew.
    pub group: usize,
}

impl Default for Cut {
    fn default() -> Self {
        Self {
            size: 128,
            overlap: 16,
            group: 256,
        }
    }
}

/// One window of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Which of the texts.
    pub text: usize,
    /// Which of its tokens.
    pub tokens: Range<usize>,
}

/// Which rows are wanted, and from which instructions.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Numbers of blocks behind which rows are handed out, going up.
    pub exits: &'a [usize],
    /// With which instructions.
    pub machine: Machine,
}

/// Room for passes, kept from one to the next.
#[derive(Debug, Default)]
pub struct Room {
    scratch: Scratch,
    states: States,
}

/// Sends texts through, and hands each window's rows to `each`, with the place of the exit among those wanted. Rows of the
/// frame are among them, in front and behind.
pub fn encode(
    encoder: &Encoder,
    frame: &Frame,
    texts: &[&[Token]],
    (cut, wanted): (Cut, Wanted<'_>),
    room: &mut Room,
    mut each: impl FnMut(&Window, usize, &[f32]),
) {
    let content = cut.size.min(encoder.longest).saturating_sub(frame.len()).max(1);
    let mut waiting: Vec<(Window, Vec<u32>)> = Vec::new();
    let mut tokens = 0;
    let mut send = |waiting: &mut Vec<(Window, Vec<u32>)>| {
        let sequences: Vec<&[u32]> = waiting.iter().map(|(_, ids)| ids.as_slice()).collect();
        let asked = (wanted.exits, wanted.machine);
        encoder.encode_exits(
            &sequences,
            asked,
            &mut room.scratch,
            &mut room.states,
            |exit, states| {
                for (index, (window, _)) in waiting.iter().enumerate() {
                    each(window, exit, states.rows(index));
                }
            },
        );
        waiting.clear();
    };
    for (text, all) in texts.iter().enumerate() {
        for range in windows(all.len(), content, cut.overlap) {
            let ids = frame.around(&all[range.clone()]);
            if tokens + ids.len() > cut.group && !waiting.is_empty() {
                send(&mut waiting);
                tokens = 0;
            }
            tokens += ids.len();
            waiting.push((Window { text, tokens: range }, ids));
        }
    }
    if !waiting.is_empty() {
        send(&mut waiting);
    }
}
