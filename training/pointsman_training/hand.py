"""Answers that were written by hand against what they may go by, as rows for `grounded measure`.

    python -m pointsman_training.hand WORK/hand.jsonl
    cargo run -p pointsman-semantics --example grounded -- features WORK/hand.jsonl > WORK/hand.features
    python -m pointsman_training.grounded measure WORK WEIGHTS WORK/hand.jsonl WORK/hand.features

They are `data/grounded_hand.txt`, on the side of training: thresholds may be chosen by them. The rows of the engine's own test
(`crates/semantics/tests/grounded/rows.jsonl`) are others, and judge only.
"""

import argparse
import json
import re
from pathlib import Path

SEEDS = Path(__file__).parents[1] / "data/grounded_hand.txt"


def rows(text: str) -> list[dict]:
    """Rows of all blocks: a language, what is gone by, a question, and answers whose spans stand between brackets."""
    found = []
    blocks = re.split(r"\n\s*\n", text)
    for block in blocks:
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if not lines:
            continue
        lang, context, question, *answers = lines
        for answer in answers:
            if not answer.startswith("- "):
                raise ValueError(f"no answer: {answer}")
            said, spans = marked(answer[2:])
            found.append(
                {
                    "context": context.replace("\\n", "\n"), "question": question, "answer": said,
                    "spans": spans, "kinds": [], "source": "by hand", "lang": lang, "group": context[:80],
                }
            )  # fmt: skip
    return found


def marked(text: str) -> tuple[str, list[list[int]]]:
    """An answer without its brackets, and where they stood."""
    said, spans = "", []
    for at, part in enumerate(re.split(r"\[\[(.*?)\]\]", text)):
        if at % 2:
            spans.append([len(said), len(said) + len(part)])
        said += part
    return said, spans


def main() -> None:
    """Writes the rows."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    found = rows(SEEDS.read_text())
    with given.out.open("w") as file:
        for row in found:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    bad = sum(bool(row["spans"]) for row in found)
    print(f"{len(found)} answers, {bad} with something unsupported")


if __name__ == "__main__":
    main()
