//! What the page says of reasoning that is switched on and off.

use std::fmt::Write;

use pointsman_routing::selection::Algorithm;

use super::curve::{height, hull};
use super::draw::{Named, Picture};
use super::reasoning::{Asked, Came, GOAL, SPEED, Switched, switched};

/// At most so many tokens for an answer.
const MOST: [u64; 3] = [2_048, 1_024, 512];

pub const ABSENT: &str = "## reasoning

Not measured: there was no file `reasoning.jsonl.gz` beside the others.
";

const ABOUT: &str = "One model, Qwen3-30B-A3B, asked each question once with reasoning and once without: what the \
published figures of the vLLM Semantic Router are about, too. The runs are somebody else's, published under Apache-2.0 \
([okuvshynov/MMLU-Pro](https://github.com/okuvshynov/MMLU-Pro): weights of six bits, temperature 0, two of the 14 subjects of \
MMLU-Pro); `training/pointsman_training/reasoning.py` makes the file of them and says how answers were read. Lengths are \
recorded; seconds are not, and follow from them";

const PUBLISHED: &str = "The published figures (*When to Reason: Semantic Router for vLLM*, arXiv 2510.08731) stand in \
the last line. They are those of all 14 subjects against vLLM asked directly, by a classifier that had learned from \
MMLU-Pro itself, with times of a real server. What was recorded here is one draw a question, so a part of what the \
oracle gains is luck that nobody could have foreseen. A gain over the mix whose bounds hold 0 is none that these questions \
show.\n";

const SHORT: &str = "\nWhere an answer may have no more than some tokens, an unfinished thought is lost, and switching wins \
against always reasoning by leaving it off. From the recorded lengths (`svm`, fitted and priced anew; what was longer counts as \
not solved):\n\n| tokens | never | always | routed | on, % | against always | against never | tokens, of always |\n\
| --- | --- | --- | --- | --- | --- | --- | --- |\n";

fn percent(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}

fn row(name: &str, came: &Came) -> String {
    format!(
        "| {name} | {} | {:.0} | {} | {:.1} s | {:.0} |\n",
        percent(came.accuracy),
        came.tokens,
        percent(came.share),
        came.seconds(),
        came.on * 100.0
    )
}

/// The best that tossing a coin could do.
fn mix(asked: &Asked) -> Vec<(f64, f64)> {
    let always = [0, 1].map(|mode| asked.came(&vec![mode; asked.len()]));
    hull(always.map(|came| (came.share, came.accuracy)).to_vec())
}

pub fn picture(asked: &Asked, results: &[Switched]) -> Picture {
    let place = |came: &Came| (came.share, came.accuracy);
    let mix = mix(asked);
    let oracle = asked.came(&asked.oracle());
    let fixed = [("never", 0), ("always", 1)];
    Picture {
        title: format!("Accuracy against tokens: reasoning, {} questions", asked.len()),
        cost: "tokens, as a share of always reasoning",
        oracle: vec![mix[0], place(&oracle)],
        curves: results
            .iter()
            .map(|result| Named {
                name: result.algorithm.name(),
                points: result.curve.iter().map(place).collect(),
                chosen: place(&asked.came(&result.picks)),
            })
            .collect(),
        fixed: fixed
            .map(|(name, mode)| (name.to_owned(), place(&asked.came(&vec![mode; asked.len()]))))
            .to_vec(),
        mix,
    }
}

pub fn section(asked: &Asked, results: &[Switched]) -> String {
    let mut subjects = asked.subjects.clone();
    subjects.sort();
    subjects.dedup();
    let mut page = format!(
        "## reasoning\n\n{} questions ({}), each judged by what was fitted to four fifths of the others. {ABOUT}: {} s to the \
         first token and {} tokens a second are assumed.\n\nThe aim of the selectors: the best accuracy for at most {} of \
         the tokens of always reasoning, which is what the published figures leave. The price of tokens that does that \
         was chosen within the four fifths.\n\n![Accuracy against tokens](routing-quality-reasoning.png)\n\n\
         | | accuracy | tokens an answer | of always reasoning | seconds an answer | on, % |\n\
         | --- | --- | --- | --- | --- | --- |\n",
        asked.len(),
        counts(asked, &subjects),
        SPEED.0,
        SPEED.1,
        percent(GOAL),
    );
    let always = [0, 1].map(|mode| asked.came(&vec![mode; asked.len()]));
    page += &row("never", &always[0]);
    page += &row("always", &always[1]);
    page += &row("random", &half(&always));
    for subject in &subjects {
        page += &row(&format!("{subject} only"), &asked.came(&asked.only(subject)));
    }
    for result in results {
        page += &row(
            &format!("**{}**", result.algorithm.name()),
            &asked.came(&result.picks),
        );
    }
    page += &row("oracle", &asked.came(&asked.oracle()));
    page += &gains(asked, results);
    page += &bound(asked);
    page += PUBLISHED;
    page + &short(asked)
}

/// How much could be won at all.
fn bound(asked: &Asked) -> String {
    let [off, on] = [0, 1].map(|mode| asked.came(&vec![mode; asked.len()]).accuracy * 100.0);
    let oracle = asked.came(&asked.oracle()).accuracy * 100.0;
    format!(
        "\nOn these runs reasoning is worth {:+.1} points to whom it is always on; who knew the outcomes would have {:+.1} \
         over always and {:+.1} over never. ",
        on - off,
        oracle - on,
        oracle - off
    )
}

/// How many questions there are of each subject, and what reasoning does for them.
fn counts(asked: &Asked, subjects: &[String]) -> String {
    let of = |subject: &String| {
        let count = asked.subjects.iter().filter(|of| *of == subject).count();
        format!("{count} of {subject}")
    };
    subjects.iter().map(of).collect::<Vec<_>>().join(", ")
}

fn half([off, on]: &[Came; 2]) -> Came {
    let mean = |of: fn(&Came) -> f64| f64::midpoint(of(off), of(on));
    Came {
        accuracy: mean(|came| came.accuracy),
        tokens: mean(|came| came.tokens),
        share: mean(|came| came.share),
        on: 0.5,
    }
}

/// A change with its bounds.
fn change((mean, low, high): (f64, f64, f64), unit: &str) -> String {
    let [mean, low, high] = [mean, low, high].map(|part| part * 100.0);
    format!("{mean:+.1} {unit} ({low:+.1} to {high:+.1})")
}

fn gains(asked: &Asked, results: &[Switched]) -> String {
    let mix = mix(asked);
    let mut page = "\n| | against always reasoning | against never | tokens, of always | seconds, of always | best fixed mix at \
                    those tokens | gained over it |\n| --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    let named = results
        .iter()
        .map(|result| (result.algorithm.name(), result.picks.clone()));
    for (name, picks) in named.chain([("oracle", asked.oracle())]) {
        let mixed = height(&mix, asked.came(&picks).share);
        writeln!(
            page,
            "| {name} | {} | {} | {} | {} | {} | {} |",
            change(
                asked.bounds(&picks, |came, [_, on]| came.accuracy - on.accuracy),
                "points"
            ),
            change(
                asked.bounds(&picks, |came, [off, _]| came.accuracy - off.accuracy),
                "points"
            ),
            change(
                asked.bounds(&picks, |came, [_, on]| came.tokens / on.tokens - 1.0),
                "%"
            ),
            change(
                asked.bounds(&picks, |came, [_, on]| came.seconds() / on.seconds() - 1.0),
                "%"
            ),
            percent(mixed),
            change(asked.bounds(&picks, over_mix), "points")
        )
        .unwrap();
    }
    page + "| published | +10.2 points | – | -48.5 % | -47.1 % | – | – |\n"
}

/// What is gained over tossing a coin so that as many tokens are spent.
fn over_mix(came: &Came, [off, on]: [&Came; 2]) -> f64 {
    let way = (came.share - off.share) / (on.share - off.share);
    came.accuracy - off.accuracy - way * (on.accuracy - off.accuracy)
}

/// The same where an answer may have no more than some tokens.
fn short(asked: &Asked) -> String {
    let mut page = SHORT.to_owned();
    for most in MOST {
        let cut = asked.within(most);
        let [off, on] = [0, 1].map(|mode| cut.came(&vec![mode; cut.len()]));
        let picks = switched(&cut, Algorithm::Svm).picks;
        let came = cut.came(&picks);
        writeln!(
            page,
            "| {most} | {} | {} | {} | {:.0} | {} | {} | {} |",
            percent(off.accuracy),
            percent(on.accuracy),
            percent(came.accuracy),
            came.on * 100.0,
            change(
                cut.bounds(&picks, |came, [_, on]| came.accuracy - on.accuracy),
                "points"
            ),
            change(
                cut.bounds(&picks, |came, [off, _]| came.accuracy - off.accuracy),
                "points"
            ),
            change(
                cut.bounds(&picks, |came, [_, on]| came.tokens / on.tokens - 1.0),
                "%"
            ),
        )
        .unwrap();
    }
    page
}
