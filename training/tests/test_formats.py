"""The parts that another implementation repeats, against slow and plain versions of them."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from pointsman_training import container, ngrams
from pointsman_training.fixtures import TEXTS
from pointsman_training.generate.pii import pii_rows
from pointsman_training.metrics import auc, recall_at
from pointsman_training.quantize import rows_to_int8
from pointsman_training.spans import counts, f_beta
from pointsman_training.tokens import case_class, pieces, windows

WORD = 2**64


def slow_buckets(text: str) -> list[int]:
    """FORMAT.md, a step at a time."""
    codes = [48 if 48 <= ord(c) <= 57 else ord(c) for c in text.lower()]
    tokens: list[tuple[list[int], bool]] = []
    run: list[int] = []
    for code in [*codes, 32]:
        sort = ngrams.classes()[code]
        if sort == 0:
            run.append(code)
            continue
        if run:
            tokens.append((run, True))
            run = []
        if sort == 1:
            tokens.append(([code], False))
    p, q, kinds = int(ngrams.P), int(ngrams.Q), int(ngrams.KIND)

    def whole(part: list[int]) -> int:
        value = 0
        for code in part:
            value = (value * p + code + 1) % WORD
        return value

    def place(value: int, kind: int) -> int:
        value = (value + kind * kinds) % WORD
        value ^= value >> 32
        return (value * p % WORD) >> (64 - ngrams.BITS)

    found = [place(whole(one), 1) for one, _ in tokens]
    for (one, _), (two, _) in itertools.pairwise(tokens):
        found.append(place((whole(one) * q + whole(two)) % WORD, 2))
    for letters, is_run in tokens:
        padded = [32, *letters, 32]
        for n in ngrams.CHARACTERS if is_run else ():
            found += [place(whole(padded[i : i + n]), n + 8) for i in range(len(padded) - n + 1)]
    return sorted(found)


@pytest.mark.parametrize("text", TEXTS)
def test_buckets_are_those_of_the_plain_version(text: str) -> None:
    assert sorted(ngrams.buckets(text).tolist()) == slow_buckets(text)


def test_windows_cover_every_piece_once_or_in_an_overlap() -> None:
    for length in (0, 1, 126, 127, 236, 237, 1000):
        seen = np.zeros(length, int)
        for start, end in windows(length):
            assert end - start <= 126
            seen[start:end] += 1
        assert (seen >= 1).all()


def test_case_classes() -> None:
    said = {"": 0, "12!": 0, "abc": 1, "Abc": 2, "ABC": 3, "A": 4, "a": 1, "aBc": 5, "A1": 4}
    assert {piece: case_class(piece) for piece in said} == said


def test_a_container_comes_back_and_damage_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "one.pmod"
    tensors = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([1, -2], np.int8)}
    container.write(path, {"name": "one"}, tensors)
    header, back = container.read(path)
    assert header["name"] == "one"
    assert header["tensors"]["b"]["offset"] % 64 == 0
    assert all((back[name] == tensors[name]).all() for name in tensors)
    whole = bytearray(path.read_bytes())
    whole[-40] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="hash"):
        container.read(path)


def test_int8_rows_are_within_half_a_step() -> None:
    weight = np.random.default_rng(1).normal(size=(5, 40)).astype(np.float32)
    values, scale = rows_to_int8(weight)
    assert np.abs(values * scale[:, None] - weight).max() <= scale.max() / 2 + 1e-7


def test_made_spans_fit_their_texts_and_their_tokens() -> None:
    rows = pii_rows(count=300)
    for row, one in zip(rows, pieces([row.text for row in rows]), strict=True):
        for start, end, _ in row.spans or []:
            assert row.text[start:end].strip() == row.text[start:end]
            assert ((one.start < end) & (one.end > start)).any()


def test_measures() -> None:
    score = np.array([0.9, 0.8, 0.7, 0.1])
    truth = np.array([True, False, True, False])
    assert auc(score, truth) == 0.75
    assert recall_at(score, truth, 0.0) == 0.5
    found = counts([[(0, 1, "AGE")]], [[(0, 1, "AGE"), (2, 3, "AGE")]])
    assert abs(f_beta(found) - 5 / 9) < 1e-9
