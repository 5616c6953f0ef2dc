"""Answers that were written by hand, and their spans."""

import json
from pathlib import Path

from pointsman_training import hand

JUDGING = Path(__file__).parents[2] / "crates/semantics/tests/grounded/rows.jsonl"


def test_spans_stand_where_the_brackets_were() -> None:
    said, spans = hand.marked("It opens at [[nine]] and [[closes late]].")
    assert said == "It opens at nine and closes late."
    assert [said[a:b] for a, b in spans] == ["nine", "closes late"]


def test_a_block_is_read_whole() -> None:
    (one, two) = hand.rows("# note\n\nen\nA.\\nB.\nWhy?\n- Because.\n- [[No]] idea.\n")
    assert one["context"] == "A.\nB." and one["question"] == "Why?" and one["spans"] == []
    assert two["answer"] == "No idea." and two["spans"] == [[0, 2]] and two["lang"] == "en"


def test_the_seeds_share_nothing_with_the_rows_that_judge() -> None:
    seeds = hand.rows(hand.SEEDS.read_text())
    judging = [json.loads(line) for line in JUDGING.read_text().splitlines()]
    assert len(seeds) >= 120 and sum(not row["spans"] for row in seeds) >= 60
    assert not {row["context"] for row in seeds} & {row["context"] for row in judging}
    assert not {row["answer"] for row in seeds} & {row["answer"] for row in judging}
