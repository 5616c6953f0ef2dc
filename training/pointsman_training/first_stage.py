"""The first stage: linear heads on hashed n-grams, int8, microseconds a text."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from .labels import LABELS, SIGMOID, TEXT_HEADS, UNKNOWN
from .ngrams import BITS, buckets, stretches
from .rows import Row

HEADS = {**TEXT_HEADS, "has_pii": LABELS["has_pii"]}
COLUMNS = 48
LONGEST = 6000
"""Training reads this many characters of a text as one stretch; the gateway reads all, in stretches."""


@dataclass
class Table:
    """Weights of all heads side by side."""

    weight: np.ndarray
    bias: np.ndarray

    def logits(self, features: csr_matrix) -> np.ndarray:
        """Raw answers in all columns."""
        return features @ self.weight + self.bias

    def read(self, texts: list[str]) -> np.ndarray:
        """Raw answers for whole texts: the highest of the stretches, or their mean."""
        parts = [stretches(text) for text in texts]
        raw = self.logits(matrix(one for part in parts for one in part))
        size = np.array([max(len(one.encode()), 1) for part in parts for one in part])
        out, at = np.zeros((len(texts), COLUMNS), np.float32), 0
        any_window = np.zeros(COLUMNS, bool)
        for head, (first, last) in places().items():
            any_window[first:last] = head in SIGMOID
        for number, part in enumerate(parts):
            here = slice(at, at + len(part))
            mean = (raw[here] * size[here, None]).sum(0) / size[here].sum()
            out[number] = np.where(any_window, raw[here].max(0), mean)
            at += len(part)
        return out


def places() -> dict[str, tuple[int, int]]:
    """Which columns belong to which head."""
    found, at = {}, 0
    for head, names in HEADS.items():
        found[head] = (at, at + len(names))
        at += len(names)
    return found


def matrix(texts: Iterable[str]) -> csr_matrix:
    """A row a stretch: one over the square root of the number of its features."""
    index, value, start = [], [], [0]
    for text in texts:
        kept = buckets(text[:LONGEST])
        index.append(kept.astype(np.int32))
        value.append(np.full(len(kept), 1 / max(np.sqrt(len(kept)), 1.0), np.float32))
        start.append(start[-1] + len(kept))
    data = np.concatenate(value), np.concatenate(index), start
    return csr_matrix(data, shape=(len(start) - 1, 1 << BITS))


def targets(rows: list[Row], head: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which rows know this head, what they say and how much they count."""
    if head == "has_pii":
        known = [i for i, row in enumerate(rows) if row.spans is not None]
        said = np.array([[0.0, 1.0] if rows[i].spans else [1.0, 0.0] for i in known])
    else:
        known = [i for i, row in enumerate(rows) if head in row.targets]
        said = np.array([rows[i].targets[head] for i in known])
    weight = np.array([rows[i].weight for i in known])
    return np.array(known, np.int64), said.astype(np.float32), weight.astype(np.float32)


@dataclass
class Lesson:
    """What every row says to every column, and how much a row counts there."""

    said: np.ndarray
    counts: np.ndarray


def lesson(rows: list[Row]) -> Lesson:
    """Targets of all heads side by side; columns of unknown heads count nothing."""
    said = np.zeros((len(rows), COLUMNS), np.float32)
    counts = np.zeros((len(rows), COLUMNS), np.float32)
    for head, (first, last) in places().items():
        known, one, weight = targets(rows, head)
        if len(known):
            said[known, first:last] = one
            counts[known, first:last] = weight[:, None] * (one != UNKNOWN)
    return Lesson(said, counts)


def chances(raw: np.ndarray) -> np.ndarray:
    """Softmax within each head, sigmoid where labels hold each by itself."""
    out = np.zeros_like(raw)
    for head, (first, last) in places().items():
        z = raw[:, first:last]
        if head in SIGMOID:
            out[:, first:last] = 1 / (1 + np.exp(-z))
        else:
            grown = np.exp(z - z.max(1, keepdims=True))
            out[:, first:last] = grown / grown.sum(1, keepdims=True)
    return out


RATE, DECAY, EPOCHS, BATCH = 0.15, 3e-5, 4, 256


def train(rows: list[Row], features: csr_matrix, seed: int = 5, epochs: int = EPOCHS) -> Table:
    """All heads at once by Adagrad, one pass over the features an epoch."""
    taught, draw = lesson(rows), np.random.default_rng(seed)
    table = Table(np.zeros((1 << BITS, COLUMNS), np.float32), np.zeros(COLUMNS, np.float32))
    seen = np.full((1 << BITS, COLUMNS), 1e-4, np.float32)
    seen_bias = np.full(COLUMNS, 1e-4, np.float32)
    for number in range(epochs):
        rate = RATE * (1 - number / epochs)
        order = draw.permutation(len(rows))
        for start in range(0, len(rows), BATCH):
            some = order[start : start + BATCH]
            part = features[some]
            used, where = np.unique(part.indices, return_inverse=True)
            part = csr_matrix((part.data, where, part.indptr), shape=(len(some), len(used)))
            here = table.weight[used]
            wrong = (chances(part @ here + table.bias) - taught.said[some]) * taught.counts[some]
            slope = part.T @ wrong / BATCH * 32 + DECAY * here
            seen[used] += slope**2
            table.weight[used] = here - rate * slope / np.sqrt(seen[used])
            slope = wrong.mean(0) * 32
            seen_bias += slope**2
            table.bias -= rate * slope / np.sqrt(seen_bias)
        print("first stage, epoch", number, flush=True)
    return table


def quantize(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """int8 with one scale a column; few outliers are cut, so that the many keep their shade."""
    size = np.abs(table.weight)
    scale = np.ones(COLUMNS, np.float32)
    for column in range(COLUMNS):
        some = size[:, column][size[:, column] > 0]
        if len(some):
            scale[column] = max(np.quantile(some, 0.9999), some.max() / 4) / 127
    return np.clip(np.round(table.weight / scale), -127, 127).astype(np.int8), scale
