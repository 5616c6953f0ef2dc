"""Rows of our own making are what they say, and batches carry what the student learns from."""

import random

import numpy as np
import pytest
import torch

from pointsman_training.calibrate import Evidence, everywhere
from pointsman_training.examples import Example, batches, collate, epoch, share
from pointsman_training.generate.briefs import brief_rows
from pointsman_training.generate.cued import cued_rows
from pointsman_training.generate.few_shot import few_shot_rows
from pointsman_training.generate.near_misses import Swaps, near_miss_rows
from pointsman_training.generate.pii import pii_rows
from pointsman_training.model import HIDDEN
from pointsman_training.rows import Row, pair_row
from pointsman_training.train import mates_loss

QUESTIONS = [
    "What is the cheapest train from Paris to London?",
    "How do I open an account with 20 dollars?",
    "Can dogs eat chicken on Monday?",
]


def known() -> list[Row]:
    """Some questions as the public rows have them."""
    rows = [Row(text, "test", "question", text) for text in QUESTIONS]
    for row in rows:
        row.targets["jailbreak"] = [0.0, 0.0, 0.0]
    return rows


def test_a_template_stands_beside_those_of_its_side_only() -> None:
    for row in pii_rows(count=400) + cued_rows(count=400):
        for start, end, kind in row.spans or []:
            assert row.text[start:end].strip(), kind
        ends = [0, *(end for _, end, _ in row.spans or [])]
        assert all(a <= b for a, (b, _, _) in zip(ends, row.spans or [], strict=False))


@pytest.mark.parametrize("made", [few_shot_rows(count=120), brief_rows(known(), count=120)])
def test_every_shape_of_an_attack_has_its_harmless_mirror(made: list[Row]) -> None:
    attacks = [row for row in made if row.targets["jailbreak"][0]]
    assert 0.15 < len(attacks) / len(made) < 0.6
    assert not {row.text for row in attacks} & {
        r.text for r in made if not r.targets["jailbreak"][0]
    }
    assert not any("{" in row.text and "}" in row.text and "{q}" in row.text for row in made)


def test_near_misses_differ_in_what_they_ask() -> None:
    swaps = Swaps(random.Random(1))
    assert swaps.sides("a train from Paris to London")[0] == "a train from London to Paris"
    assert swaps.number("with 20 dollars")[1] == "number"
    assert swaps.word("Open it")[0] == "Close it"
    for row in near_miss_rows(known()):
        assert row.text != row.pair
        assert row.targets["pair"] == [float(row.kind == "same-words")]


def test_mates_stand_side_by_side_and_are_pulled_to_the_distance_of_the_teacher() -> None:
    rows = [
        pair_row(f"{text} {n}", f"{n} so {text}", False, "t", "t")
        for n in range(9)
        for text in QUESTIONS
    ]
    vectors = {text: at for at, text in enumerate(t for row in rows for t in (row.text, row.pair))}
    several = list(epoch(rows, lambda _: 0.0, vectors, 1))
    found = [collate(one) for one in several]
    assert sum(len(one.mates) for one in found) >= len(rows)
    teacher = functional_unit(torch.randn(len(vectors), HIDDEN))
    for batch in found:
        read = teacher[batch.vectors]
        assert float(mates_loss(read, batch, teacher)) < 1e-9
        if len(batch.mates):
            assert float(mates_loss(torch.randn_like(read), batch, teacher)) > 0


def functional_unit(x: torch.Tensor) -> torch.Tensor:
    """Vectors of length one."""
    return x / x.norm(dim=1, keepdim=True)


def test_batches_keep_to_their_budget_with_mates() -> None:
    row, draw = Row("", "", "", ""), random.Random(2)
    some = []
    for number in range(200):
        a, b = draw.randrange(1, 126), draw.randrange(1, 126)
        for size in (a, b):
            place = (max(a, b), number / 200)
            some.append(Example(row, np.zeros(size, np.int32), None, 0, number, place))
    for group in batches(some, draw, 1024):
        longest = max(len(one.ids) for one in group)
        assert len(group) * (longest + 2) <= 1024


def test_questions_of_exams_are_seen_about_twice_and_pairs_by_themselves_never() -> None:
    exam = Row("", "mmlu", "exam", "", {"domain": [1.0]}, kind="exam")
    assert 1.5 <= share(exam) <= 2
    assert share(Row("", "pairs", "pairs", "")) == 0


def test_a_threshold_holds_for_long_texts_too() -> None:
    value = np.concatenate([np.linspace(0, 0.5, 2000), np.linspace(0, 1, 200)])
    sizes = np.repeat([10, 900], [2000, 200])
    positive = np.zeros(2200, bool)
    proof = Evidence(
        "jailbreak", value[:, None], value[:, None], positive[:, None], np.ones(2200), sizes
    )
    limit = everywhere(proof, value, positive, 0.01)
    assert (value[sizes > 300] >= limit).mean() <= 0.011
