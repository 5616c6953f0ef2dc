"""The parts that another implementation repeats, against slow and plain versions of them."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from pointsman_training import container, ngrams
from pointsman_training.generate.pii import pii_rows
from pointsman_training.int8 import rows_to_int8
from pointsman_training.metrics import auc, recall_at
from pointsman_training.spans import counts, f_beta
from pointsman_training.tokens import pieces, windows


def slow_buckets(text: str) -> list[int]:
    """The features as the engine's description tells them, a step at a time."""
    words = re.findall(r"[^\W_]+|[^\w\s]|_", re.sub("[0-9]", "0", text.lower()))

    def place(kind: int, part: str) -> int:
        value = 0xCBF29CE484222325
        for byte in bytes([kind]) + part.encode():
            value = (value ^ byte) * 0x100000001B3 % 2**64
        return value >> (64 - ngrams.BITS)

    found = {place(0, word) for word in words}
    found |= {place(1, f"{a} {b}") for a, b in itertools.pairwise(words)}
    for word in words:
        line = f" {word} "
        for run in ngrams.RUNS if len(word) > 1 else ():
            found |= {place(run, line[i : i + run]) for i in range(len(line) - run + 1)}
    return sorted(found)


PLAIN = ["", " ", "a", "Hello, World!", "Is it 42?", "Résumé naïve straße", "def f(x): return x_1"]


@pytest.mark.parametrize("text", PLAIN)
def test_buckets_are_those_of_the_plain_version(text: str) -> None:
    assert ngrams.buckets(text).tolist() == slow_buckets(text)


def test_stretches_are_the_text() -> None:
    text = "Grüße an alle. " * 500 + "日本" * 2000
    parts = ngrams.stretches(text)
    assert "".join(parts) == text
    assert max(len(one.encode()) for one in parts) <= ngrams.STRETCH


def test_windows_cover_every_piece_once_or_in_an_overlap() -> None:
    for length in (0, 1, 126, 127, 236, 237, 1000):
        seen = np.zeros(length, int)
        for start, end in windows(length):
            assert end - start <= 126
            seen[start:end] += 1
        assert (seen >= 1).all()


def test_a_container_comes_back_and_damage_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "one.weights"
    tensors = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([1, -2], np.int8)}
    container.write(path, {"name": "one"}, tensors)
    header, back = container.read(path)
    assert header == {"name": "one"}
    assert all((back[name] == tensors[name]).all() for name in tensors)
    whole = bytearray(path.read_bytes())
    whole[-60] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="checksum"):
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
