"""What one model solves with reasoning switched on and off, from runs that somebody published.

    git clone https://github.com/okuvshynov/MMLU-Pro REPOSITORY
    python -m pointsman_training.reasoning REPOSITORY DATA/reasoning.jsonl.gz
    cargo run -p pointsman-routing --example quality -- DATA docs

The runs (Apache-2.0) are of Qwen3-30B-A3B, quantised to six bits, at temperature 0, on two subjects of MMLU-Pro, each
question once with reasoning and once without: `/no_think` for computer science, and for psychology a bias on the token
that ends a thought, so large that it comes at once. An answer is read anew from what stands behind the thought: the
stored reading also took letters that the model only weighed. A thought that never ended has no answer and is not right.
Lengths are those that were counted with the model's own tokens, thought and answer together.

A row of the file is a row of recorded outcomes (`text`, `options`, `correct` by name) whose names are `off` and `on`,
with `tokens` by the same names, `label_domain`, and under `source` where it is from.
"""

import argparse
import csv
import gzip
import io
import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

COMMIT = "011a98d0086f4da252d4bbbed382c8ecfa3a4d5b"
"""The last one that has all of the files."""
RUNS = "eval_results/Qwen3-30B-A3B-UD-Q6_K_XL_"
PSYCHOLOGY = {"off": RUNS + "think_bias_20/", "on": RUNS + "think_bias_0/"}
SCIENCE = {"off": "think_data/cs_nothink.json", "on": "think_data/cs_think.json"}
SOURCE = "mmlu-pro, Qwen3-30B-A3B"


def answer(output: str) -> str | None:
    """The letter that an output comes to, behind its thought; none where the thought never ended."""
    _, ended, said = output.partition("</think>")
    if not ended:
        return None
    found = re.search(r"answer is \(?([A-J])\)?", said)
    found = found or re.search(r".*[aA]nswer:\s*\(?([A-J])\b", said)
    if found:
        return found[1]
    letters = re.findall(r"\b([A-J])\b", said)
    return letters[-1] if letters else None


def rows(
    runs: dict[str, Iterable[dict]], tokens: dict[str, dict[int, int]]
) -> Iterator[dict]:
    """Rows of the questions that both ways of asking answered and whose lengths are known."""
    by_id = {mode: {run["question_id"]: run for run in some} for mode, some in runs.items()}
    for asked, off in by_id["off"].items():
        both = {"off": off, "on": by_id["on"].get(asked)}
        counts = {mode: tokens[mode].get(asked, -1) for mode in both}
        if both["on"] is None or min(counts.values()) < 0:
            continue
        yield {
            "text": off["question"],
            "options": off["options"],
            "label_domain": off["category"],
            "correct": {
                mode: int(answer(run["model_outputs"]) == run["answer"])
                for mode, run in both.items()
            },
            "tokens": counts,
            "source": SOURCE,
        }


def read(repository: Path, path: str) -> str:
    """A file as the commit has it."""
    told = subprocess.run(
        ["git", "-C", str(repository), "show", f"{COMMIT}:{path}"],
        check=True,
        capture_output=True,
        text=True,
    )
    return told.stdout


def psychology(repository: Path) -> Iterator[dict]:
    """The one subject."""
    runs, tokens = {}, {}
    for mode, folder in PSYCHOLOGY.items():
        runs[mode] = json.loads(read(repository, f"{folder}psychology_result.json"))
        told = csv.DictReader(io.StringIO(read(repository, f"{folder}psychology_result_metrics.csv")))
        tokens[mode] = {int(one["question_id"]): int(one["n_tokens_total"]) for one in told}
    return rows(runs, tokens)


def science(repository: Path) -> Iterator[dict]:
    """The other."""
    runs = {mode: json.loads(read(repository, path)) for mode, path in SCIENCE.items()}
    told = json.loads(read(repository, "think_data/combined_dataset.json"))
    names = {"off": "cs_nothink_n_tokens", "on": "cs_think_n_tokens"}
    tokens = {mode: {one["question_id"]: one[name] for one in told} for mode, name in names.items()}
    return rows(runs, tokens)


def main() -> None:
    """Writes the file, and says what is in it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("repository", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    found = [*science(given.repository), *psychology(given.repository)]
    with gzip.open(given.out, "wt", encoding="utf-8") as file:
        for row in found:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    for subject in sorted({row["label_domain"] for row in found}):
        of = [row for row in found if row["label_domain"] == subject]
        for mode in ("off", "on"):
            right = sum(row["correct"][mode] for row in of) / len(of)
            length = sum(row["tokens"][mode] for row in of) / len(of)
            print(f"{subject}, {mode}: {len(of)} questions, {right:.3f} right, {length:.0f} tokens")


if __name__ == "__main__":
    main()
