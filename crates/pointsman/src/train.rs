//! `pointsman train`: which model answers what well, fitted to recorded outcomes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pointsman_routing::selection::{Algorithm, FitOptions, Fitted, HashedNgrams, Questions, Row, fit};

use crate::console;

/// The longest line, in bytes.
const MAX_LINE: usize = 1 << 20;

/// Most lines.
const MAX_ROWS: usize = 200_000;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Outcomes, a JSON object a line: `{"text": "…", "correct": {"model": 1, "other": 0.5}}`, and `options`, if the
    /// question had any. Models that were not asked are left out.
    outcomes: PathBuf,
    /// `knn`, `kmeans`, `svm`, `mlp` or `router_dc`.
    #[arg(long, value_parser = algorithm)]
    algorithm: Algorithm,
    /// The file to write, for `pretrained_path`.
    #[arg(long)]
    out: PathBuf,
    /// Models to fit; all that occur when absent.
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// Columns that words are hashed to.
    #[arg(long, default_value_t = 2_048, value_parser = clap::value_parser!(u32).range(16..=65_536))]
    width: u32,
    /// The only source of chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Of `knn`: how many of the nearest questions are looked at.
    #[arg(long)]
    neighbours: Option<usize>,
    /// Of `kmeans`: how many groups.
    #[arg(long)]
    clusters: Option<usize>,
    /// Of `mlp`: units of the hidden layer.
    #[arg(long)]
    hidden: Option<usize>,
    /// How often all questions are gone through (`knn` goes through them once).
    #[arg(long)]
    rounds: Option<usize>,
    /// Of `svm`: what a question on the wrong side costs.
    #[arg(long)]
    c: Option<f64>,
    /// One question in so many is not fitted to, but told how it would have been answered.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    test_every: u32,
}

fn algorithm(name: &str) -> Result<Algorithm, String> {
    let names = Algorithm::ALL.map(Algorithm::name);
    Algorithm::ALL
        .into_iter()
        .find(|algorithm| algorithm.name() == name)
        .ok_or_else(|| format!("use one of {}", names.join(", ")))
}

impl Arguments {
    fn options(&self) -> FitOptions {
        let usual = FitOptions::new(self.algorithm);
        FitOptions {
            seed: self.seed,
            neighbours: self.neighbours.unwrap_or(usual.neighbours),
            clusters: self.clusters.unwrap_or(usual.clusters),
            hidden: self.hidden.unwrap_or(usual.hidden),
            rounds: self.rounds.unwrap_or(usual.rounds),
            c: self.c.unwrap_or(usual.c),
            ..usual
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match train(arguments) {
        Ok(told) => {
            told.iter().for_each(console::say);
            ExitCode::SUCCESS
        }
        Err(problem) => console::fail(&problem),
    }
}

fn train(arguments: &Arguments) -> Result<Vec<String>, String> {
    let rows = read(&arguments.outcomes)?;
    let models = models(&rows, &arguments.models);
    let embedder = HashedNgrams::new(arguments.width as usize);
    let every = arguments.test_every as usize;
    let (tested, fitted_to): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .enumerate()
        .partition(|(at, _)| at % every == every - 1);
    let rows = |part: Vec<(usize, Row)>| part.into_iter().map(|(_, row)| row).collect::<Vec<_>>();
    let (tested, fitted_to) = (rows(tested), rows(fitted_to));
    let questions = Questions::new(&fitted_to, &models, &embedder).map_err(|error| error.to_string())?;
    let fitted = fit(&questions, &embedder, &arguments.options()).map_err(|error| error.to_string())?;
    let bytes = fitted.write().map_err(|error| error.to_string())?;
    std::fs::write(&arguments.out, &bytes)
        .map_err(|error| format!("{}: {error}", arguments.out.display()))?;
    let mut told = vec![format!(
        "{} fitted to {} questions, {} bytes: {}",
        arguments.algorithm.name(),
        questions.len(),
        bytes.len(),
        arguments.out.display()
    )];
    told.extend(report(&fitted, &tested));
    told.push(
        "prompts are read by hashed n-grams: no encoder of the engine is asked, neither here nor when the gateway serves"
            .to_owned(),
    );
    Ok(told)
}

fn read(path: &Path) -> Result<Vec<Row>, String> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut reader = BufReader::new(file);
    let mut rows = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let mut bounded = std::io::Read::take(&mut reader, MAX_LINE as u64 + 1);
        let read = bounded
            .read_until(b'\n', &mut line)
            .map_err(|error| format!("{}:{number}: {error}", path.display()))?;
        if read == 0 {
            break;
        }
        if line.len() > MAX_LINE {
            return Err(format!(
                "{}:{number}: a line has at most {MAX_LINE} bytes",
                path.display()
            ));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        if rows.len() == MAX_ROWS {
            return Err(format!(
                "{}: at most {MAX_ROWS} questions are fitted to",
                path.display()
            ));
        }
        let row: Row =
            serde_json::from_slice(&line).map_err(|error| format!("{}:{number}: {error}", path.display()))?;
        if let Some((model, worth)) = row
            .correct
            .iter()
            .find(|(_, worth)| !(0.0..=1.0).contains(*worth))
        {
            return Err(format!(
                "{}:{number}: correct.{model} is {worth}; outcomes lie between 0 and 1",
                path.display()
            ));
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The models that were named, or all that occur, by name.
fn models(rows: &[Row], named: &[String]) -> Vec<String> {
    if !named.is_empty() {
        return named.to_vec();
    }
    let mut all: Vec<String> = rows.iter().flat_map(|row| row.correct.keys().cloned()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// How questions that were not fitted to would have been answered, next to each model by itself.
fn report(fitted: &Fitted, tested: &[Row]) -> Vec<String> {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    let (mut selected, mut best, mut count) = (0.0, 0.0, 0.0);
    for row in tested {
        let worth: Option<Vec<f64>> = fitted
            .models()
            .iter()
            .map(|model| row.correct.get(model).copied())
            .collect();
        // Only where all were asked can it be said what another choice had brought.
        let (Some(worth), Ok(chances)) = (worth, fitted.predict(&row.prompt(), None)) else {
            continue;
        };
        let chosen = (0..chances.len()).max_by(|left, right| chances[*left].total_cmp(&chances[*right]));
        selected += chosen.map_or(0.0, |chosen| worth[chosen]);
        best += worth.iter().copied().fold(0.0, f64::max);
        for (model, worth) in fitted.models().iter().zip(worth) {
            *sums.entry(model).or_default() += worth;
        }
        count += 1.0;
    }
    if count == 0.0 {
        return vec!["no question held back has outcomes of all models: nothing to compare".to_owned()];
    }
    let line = |name: &str, sum: f64| format!("  {name:<40} {:.4}", sum / count);
    let mut told = vec![
        format!("on {count} questions that were not fitted to, by quality alone:"),
        line("selected", selected),
        line("best of all (oracle)", best),
    ];
    told.extend(sums.iter().map(|(model, sum)| line(model, *sum)));
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(folder: &Path, more: &[&str]) -> Arguments {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            arguments: Arguments,
        }
        let (outcomes, out) = (folder.join("outcomes.jsonl"), folder.join("fitted.weights"));
        let mut line = vec![
            "train",
            outcomes.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
            "--width",
            "256",
        ];
        line.extend(more);
        <Line as clap::Parser>::parse_from(line).arguments
    }

    #[test]
    fn outcomes_become_a_file_that_selects() {
        let folder = tempfile::tempdir().unwrap();
        let line = |at: usize| match at % 2 {
            0 => format!(
                "{{\"text\": \"add the number {at} to the sum\", \"correct\": {{\"a\": 1, \"b\": 0}}, \"source\": \"x\"}}\n"
            ),
            _ => format!(
                "{{\"text\": \"write a tale about dragon {at}\", \"options\": [\"x\"], \"correct\": {{\"a\": 0, \"b\": 1}}}}\n"
            ),
        };
        let lines: String = (0..200).map(line).collect();
        std::fs::write(folder.path().join("outcomes.jsonl"), lines).unwrap();
        for algorithm in Algorithm::ALL {
            let arguments = arguments(
                folder.path(),
                &["--algorithm", algorithm.name(), "--test-every", "9"],
            );
            let told = train(&arguments).unwrap();
            assert!(
                told[2].contains("selected") && told[2].ends_with("1.0000"),
                "{told:?}"
            );
            let fitted = Fitted::load(arguments.out.to_str().unwrap()).unwrap();
            assert_eq!(
                (fitted.algorithm(), fitted.models()),
                (algorithm, &["a".to_owned(), "b".to_owned()][..])
            );
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = arguments(folder.path(), &["--algorithm", "svm"]);
        let of = |lines: &str| {
            std::fs::write(folder.path().join("outcomes.jsonl"), lines).unwrap();
            train(&arguments).unwrap_err()
        };
        assert!(
            of("{\"text\": \"q\", \"correct\": {\"a\": 1}}\n\n{\"text\": 1}\n").contains("outcomes.jsonl:3:")
        );
        assert!(of("{\"text\": \"q\", \"correct\": {\"a\": 2}}").contains("correct.a is 2"));
        assert!(of("{\"text\": \"q\", \"correct\": {\"a\": 1}}").contains("two models"));
        assert!(of("{\"text\": \"q\", \"correct\": {\"a\": 1, \"b\": 0}}").contains("at least 24"));
    }
}
