"""Answers that say what a text says, answers that do not, and what is made of them."""

import random
from pathlib import Path

import numpy as np

from pointsman_training import grounded
from pointsman_training.generate import answers, records
from pointsman_training.generate.answers import Answer, Passage, Tools

TEXT = (
    "The museum in Bern opened in 1957 and has 340 paintings. Anna Keller does not sell tickets on Monday. "
    "It costs 14 dollars to visit the old garden in Bern before noon."
)
PASSAGE = Passage(TEXT, "", "test", "en", "one")


class NoWords:
    """A WordNet without words."""

    def knows(self, _part: str, _word: str) -> bool:
        """Whether it is a word."""
        return False


def tools(seed: int) -> Tools:
    frames = {
        "lead": ["Yes,"],
        "glue": ["also"],
        "close": ["Bye."],
        "clause": [", which {name} saw in {year}"],
        "sentence": ["{name} left in {year}."],
    }
    return Tools(
        random.Random(seed),
        NoWords(),
        frames,
        ["Peter Vogel"],
        ["A whale swam through the quiet harbour."],
    )


def test_faithful_answers_have_no_spans() -> None:
    for seed in range(50):
        answer = answers.faithful(PASSAGE, tools(seed), 3)
        assert answer.spans() == [] and answer.text()


def test_spans_stand_at_what_was_changed() -> None:
    kinds = set()
    for seed in range(300):
        answer = answers.unfaithful(PASSAGE, tools(seed), 3)
        if answer is None:
            continue
        text, spans = answer.text(), answer.spans()
        assert spans and all(0 <= a < b <= len(text) for a, b in spans)
        assert all(text[a:b] == text[a:b].strip() for a, b in spans)
        kinds |= set(answer.kinds)
    assert {
        "other number",
        "name of another text",
        "denial lost",
        "denial",
        "clause",
        "sentence",
        "opposite",
    } <= kinds


def test_a_changed_number_is_the_only_span() -> None:
    answer = Answer(answers.cut("It has 340 paintings."))
    assert answers.other_number(answer, PASSAGE, tools(1))
    ((start, end),) = answer.spans()
    assert answer.text()[start:end].isdigit() and answer.text()[start:end] != "340"


def test_values_of_other_rows_are_told() -> None:
    table = (
        "| city | river |\n| Bern | Aare |\n| Basel | Rhein |\n| Genf | Rhone |\n| Zug | Lorze |"
    )
    passage = Passage(table, "", "test", "en", "two")
    for seed in range(20):
        answer = records.told(passage, random.Random(seed), "train", 1)
        assert answer is not None and len(answer.spans()) == 1
        assert records.told(passage, random.Random(seed), "train", 0).spans() == []


def test_bytes_become_characters() -> None:
    assert grounded.characters("aé→b") == {0: 0, 1: 1, 3: 2, 6: 3, 7: 4}


def test_runs_bridge_small_words_and_need_a_peak() -> None:
    words = [(0, 1), (2, 3), (4, 5), (6, 7)]
    small = np.array([False, True, False, False])
    same = np.zeros(4, int)
    chance = np.array([0.9, 0.1, 0.4, 0.0])
    assert grounded.runs(words, small, same, chance, 0.8, 0.3) == [(0, 5)]
    assert grounded.runs(words, small, same, chance, 0.95, 0.3) == []
    assert grounded.runs(words, small, np.array([0, 0, 1, 1]), chance, 0.8, 0.3) == [(0, 1)]


def test_the_network_learns() -> None:
    draw = np.random.default_rng(0)
    seen = draw.normal(0, 1, (40_000, 3)).astype(np.float32)
    label = ((seen[:, 0] > 0) != (seen[:, 1] > 0)).astype(np.float32)
    net = grounded.fit(seen, label, np.ones(len(seen), np.float32), 1)
    assert ((grounded.chances(net, seen) > 0.5) == label).mean() > 0.9


def test_both_sides_share_nothing() -> None:
    assert not grounded.TRAIN & grounded.DEV
    for kind in ("lead", "clause", "sentence"):
        assert not set(grounded.frames("train")[kind]) & set(grounded.frames("dev")[kind])
    assert len(grounded.feature_names()) == 52 and Path(grounded.FRAMES).is_file()
