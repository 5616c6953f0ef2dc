"""The first stage: linear heads on hashed n-grams, int8, microseconds a text."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from .labels import SIGMOID, TEXT_HEADS
from .ngrams import BITS, buckets
from .rows import Row

HEADS = {**TEXT_HEADS, "has_pii": ["no", "yes"]}
COLUMNS = 48
WINDOW = 6000
"""Training reads this many characters of a text; the gateway reads all."""


@dataclass
class Table:
    """Weights of all heads side by side."""

    weight: np.ndarray
    bias: np.ndarray
    places: dict[str, tuple[int, int]]

    def logits(self, features: csr_matrix, head: str) -> np.ndarray:
        """Raw answers of one head."""
        first, last = self.places[head]
        return features @ self.weight[:, first:last] + self.bias[first:last]


def places() -> dict[str, tuple[int, int]]:
    """Which columns belong to which head."""
    found, at = {}, 0
    for head, names in HEADS.items():
        found[head] = (at, at + len(names))
        at += len(names)
    return found


def matrix(texts: Iterable[str]) -> csr_matrix:
    """Counts over the square root of the number of features, a row a text."""
    index, value, start = [], [], [0]
    for text in texts:
        kept, counts = np.unique(buckets(text[:WINDOW]), return_counts=True)
        index.append(kept.astype(np.int32))
        value.append((counts / max(np.sqrt(counts.sum()), 1.0)).astype(np.float32))
        start.append(start[-1] + len(kept))
    joined = np.concatenate(index), np.concatenate(value)
    return csr_matrix((joined[1], joined[0], start), shape=(len(start) - 1, 1 << BITS))


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


def fit(
    features: csr_matrix, said: np.ndarray, weight: np.ndarray, independent: bool, decay: float
) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression by L-BFGS on the features that occur."""
    used = np.unique(features.indices)
    dense = features[:, used].tocsr()
    turned = dense.T.tocsr()
    labels, total = said.shape[1], weight.sum()

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        both = flat.reshape(len(used) + 1, labels).astype(np.float32)
        raw = dense @ both[:-1] + both[-1]
        if independent:
            chance = 1 / (1 + np.exp(-raw))
            cost = np.logaddexp(0, raw) - said * raw
        else:
            raw = raw - raw.max(1, keepdims=True)
            log = raw - np.log(np.exp(raw).sum(1, keepdims=True))
            chance, cost = np.exp(log), -said * log
        wrong = (chance - said) * (weight / total)[:, None]
        slope = np.vstack([turned @ wrong + decay * both[:-1], wrong.sum(0)])
        value = float((cost.sum(1) * weight).sum() / total)
        value += 0.5 * decay * float((both[:-1] ** 2).sum())
        return value, slope.ravel().astype(np.float64)

    start = np.zeros((len(used) + 1) * labels)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 30})
    both = found.x.reshape(len(used) + 1, labels).astype(np.float32)
    weights = np.zeros((1 << BITS, labels), np.float32)
    weights[used] = both[:-1]
    return weights, both[-1]


DECAY = {"domain": 2e-6, "jailbreak": 4e-6, "difficulty": 2e-5, "hazards": 2e-5}


def train(rows: list[Row], features: csr_matrix, heads: Iterable[str] = tuple(HEADS)) -> Table:
    """All heads, one after another."""
    where = places()
    table = Table(np.zeros((1 << BITS, COLUMNS), np.float32), np.zeros(COLUMNS, np.float32), where)
    for head in heads:
        known, said, weight = targets(rows, head)
        first, last = where[head]
        weights, bias = fit(features[known], said, weight, head in SIGMOID, DECAY.get(head, 1e-5))
        table.weight[:, first:last], table.bias[first:last] = weights, bias
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
