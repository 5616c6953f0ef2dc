//! Writes what a file of weights makes of texts, for those who fit heads on it: `states WEIGHTS TEXTS OUT [EXIT…]`.
//!
//! `TEXTS` has a JSON string a line. Into the folder `OUT` go, all numbers little-endian:
//!
//! - `windows.u32`: text, first token and length of each window; `windows.f32`: what a head reads of it, the first row and the
//!   mean of the rows of its content, behind the last block.
//! - `first.f32`: logits of all heads of the first stage for each text; `heads.json`: their names and sizes.
//! - `buckets.u32`: for each stretch its text, bytes, number of buckets, and the buckets.
//! - with exits: `tokens.u32`, text, first and last byte of each piece, and `tokens.f32`, its rows behind these blocks, side by
//!   side, from the window in whose middle it lies.

#![allow(clippy::print_stdout, reason = "it says how far it is")]

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use pointsman_semantics::engine::{Engine, EngineRoom};
use pointsman_semantics::tokenize::Token;

/// Texts that go through the encoder together.
const GROUP: usize = 32;

struct Out {
    windows: BufWriter<File>,
    reads: BufWriter<File>,
    first: BufWriter<File>,
    buckets: BufWriter<File>,
    tokens: BufWriter<File>,
    rows: BufWriter<File>,
}

impl Out {
    fn new(folder: &Path) -> Result<Self, Box<dyn Error>> {
        std::fs::create_dir_all(folder)?;
        let file = |name: &str| File::create(folder.join(name)).map(BufWriter::new);
        Ok(Self {
            windows: file("windows.u32")?,
            reads: file("windows.f32")?,
            first: file("first.f32")?,
            buckets: file("buckets.u32")?,
            tokens: file("tokens.u32")?,
            rows: file("tokens.f32")?,
        })
    }
}

fn floats(out: &mut impl Write, values: &[f32]) -> std::io::Result<()> {
    values
        .iter()
        .try_for_each(|value| out.write_all(&value.to_le_bytes()))
}

fn numbers(out: &mut impl Write, values: &[usize]) -> Result<(), Box<dyn Error>> {
    for value in values {
        out.write_all(&u32::try_from(*value)?.to_le_bytes())?;
    }
    Ok(())
}

/// One window, kept until its group is through.
struct Seen {
    text: usize,
    start: usize,
    count: usize,
    rows: Vec<f32>,
    exit: usize,
}

fn reads(rows: &[f32], width: usize) -> Vec<f32> {
    let content = if rows.len() > 2 * width {
        &rows[width..rows.len() - width]
    } else {
        rows
    };
    let mut read = rows[..width].to_vec();
    let mut mean = vec![0.0_f32; width];
    for row in content.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    let share = width as f32 / content.len() as f32;
    read.extend(mean.iter().map(|sum| sum * share));
    read
}

/// The rows of each piece of a text behind one exit, from the window in whose middle it lies.
fn middles(seen: &[&Seen], count: usize, width: usize) -> Vec<f32> {
    let mut best = vec![-1_i64; count];
    let mut rows = vec![0.0; count * width];
    for one in seen {
        for at in 0..one.count {
            let far = at.min(one.count - 1 - at) as i64;
            let place = one.start + at;
            if far > best[place] {
                best[place] = far;
                rows[place * width..(place + 1) * width]
                    .copy_from_slice(&one.rows[(at + 1) * width..(at + 2) * width]);
            }
        }
    }
    rows
}

/// Everything that is written of the texts from `from` on.
struct Group<'a> {
    from: usize,
    texts: &'a [String],
    /// The block behind which heads read, and those whose rows of tokens are wanted.
    last: usize,
    exits: &'a [usize],
}

fn group(
    engine: &Engine,
    group: &Group<'_>,
    out: &mut Out,
    room: &mut EngineRoom,
) -> Result<(), Box<dyn Error>> {
    let width = engine.width();
    let pieces: Vec<_> = group.texts.iter().map(|text| engine.pieces(text)).collect();
    let tokens: Vec<&[Token]> = pieces.iter().map(|pieces| pieces.tokens.as_slice()).collect();
    let mut wanted = group.exits.to_vec();
    if !wanted.contains(&group.last) {
        wanted.push(group.last);
    }
    let mut seen = Vec::new();
    engine.states(&tokens, &wanted, room, |state| {
        seen.push(Seen {
            text: state.window.text,
            start: state.window.tokens.start,
            count: state.window.tokens.len(),
            rows: state.rows.to_vec(),
            exit: state.exit,
        });
    });
    for one in seen.iter().filter(|one| one.exit == group.last) {
        numbers(&mut out.windows, &[group.from + one.text, one.start, one.count])?;
        floats(&mut out.reads, &reads(&one.rows, width))?;
    }
    for (index, text) in group.texts.iter().enumerate() {
        first_stage(engine, (group.from + index, text), out, room)?;
        if !group.exits.is_empty() {
            tokens_of(group, (index, tokens[index]), (&seen, width), out)?;
        }
    }
    Ok(())
}

fn first_stage(
    engine: &Engine,
    (number, text): (usize, &str),
    out: &mut Out,
    room: &mut EngineRoom,
) -> Result<(), Box<dyn Error>> {
    for (_, answer) in engine.first_answers(text, room) {
        floats(&mut out.first, &answer.logits)?;
    }
    for (bytes, buckets) in engine.buckets(text, room) {
        numbers(&mut out.buckets, &[number, bytes, buckets.len()])?;
        for bucket in buckets {
            out.buckets.write_all(&bucket.to_le_bytes())?;
        }
    }
    Ok(())
}

fn tokens_of(
    group: &Group<'_>,
    (index, tokens): (usize, &[Token]),
    (seen, width): (&[Seen], usize),
    out: &mut Out,
) -> Result<(), Box<dyn Error>> {
    let each: Vec<Vec<f32>> = group
        .exits
        .iter()
        .map(|exit| {
            let mine = seen.iter().filter(|one| one.text == index && one.exit == *exit);
            middles(&mine.collect::<Vec<_>>(), tokens.len(), width)
        })
        .collect();
    for (place, token) in tokens.iter().enumerate() {
        let (start, end) = (token.start as usize, token.end as usize);
        numbers(&mut out.tokens, &[group.from + index, start, end])?;
        for rows in &each {
            floats(&mut out.rows, &rows[place * width..(place + 1) * width])?;
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [weights, texts, folder, exits @ ..] = given.as_slice() else {
        return Err("states WEIGHTS TEXTS OUT [EXIT…]".into());
    };
    let exits: Vec<usize> = exits.iter().map(|exit| exit.parse()).collect::<Result<_, _>>()?;
    let engine = Engine::from_file(weights, &std::fs::read(weights)?)?;
    let last = engine.heads().iter().map(|(head, _)| head.exit).max();
    let last = last.ok_or("no heads")?;
    let texts: Vec<String> = std::fs::read_to_string(texts)?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let folder = Path::new(folder);
    let mut out = Out::new(folder)?;
    let mut room = EngineRoom::default();
    let names: Vec<(String, usize)> = engine
        .first_answers("", &mut room)
        .into_iter()
        .map(|(name, answer)| (name.to_owned(), answer.logits.len()))
        .collect();
    std::fs::write(folder.join("heads.json"), serde_json::to_vec(&names)?)?;
    for (number, some) in texts.chunks(GROUP).enumerate() {
        let some = Group {
            from: number * GROUP,
            texts: some,
            last,
            exits: &exits,
        };
        group(&engine, &some, &mut out, &mut room)?;
        if number % 200 == 0 {
            println!("{} of {}", number * GROUP, texts.len());
        }
    }
    Ok(())
}
