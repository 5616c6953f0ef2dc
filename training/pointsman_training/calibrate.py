"""Turns logits into probabilities, and sets thresholds, on validation rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from .labels import ALL_HEADS, NEGATIVE, SIGMOID
from .metrics import threshold_at


@dataclass
class Evidence:
    """What both stages said of the rows that know a head, and the truth."""

    head: str
    encoder: np.ndarray
    ngrams: np.ndarray
    said: np.ndarray
    weight: np.ndarray


def chances(raw: np.ndarray, head: str) -> np.ndarray:
    """Probabilities of logits."""
    if head in SIGMOID:
        return 1 / (1 + np.exp(-raw))
    grown = np.exp(raw - raw.max(1, keepdims=True))
    return grown / grown.sum(1, keepdims=True)


def mixed(part: dict[str, Any], encoder: np.ndarray | None, ngrams: np.ndarray) -> np.ndarray:
    """Logits of a calibration: alpha times its own stage, beta times the other, a bias."""
    own = ngrams if encoder is None else encoder
    raw = part["alpha"] * own + np.array(part["bias"])
    return raw + part["beta"] * ngrams if "beta" in part else raw


def fit(evidence: Evidence, encoder: bool, ngrams: bool) -> dict[str, Any]:
    """The scale of each stage and a bias, by least log loss with a weak pull towards no change."""
    labels, head = evidence.said.shape[1], evidence.head
    own = evidence.encoder if encoder else evidence.ngrams
    weight = evidence.weight / evidence.weight.sum()

    def loss(flat: np.ndarray) -> float:
        raw = np.exp(flat[0]) * own + flat[2:]
        if encoder and ngrams:
            raw = raw + flat[1] * evidence.ngrams
        chance = np.clip(chances(raw, head), 1e-9, 1 - 1e-9)
        cost = -evidence.said * np.log(chance)
        if head in SIGMOID:
            cost = cost - (1 - evidence.said) * np.log(1 - chance)
        return float((cost.sum(1) * weight).sum() + 1e-3 * (flat**2).sum())

    found = minimize(loss, np.zeros(labels + 2), method="L-BFGS-B").x
    part = {"alpha": float(np.exp(found[0])), "bias": [float(b) for b in found[2:]]}
    return {**part, "beta": float(found[1])} if encoder and ngrams else part


def score(chance: np.ndarray, head: str) -> np.ndarray:
    """1 − P(negative)."""
    return 1 - chance[:, ALL_HEADS[head].index(NEGATIVE[head])]


def points(evidence: Evidence, chance: np.ndarray) -> dict[str, float]:
    """Thresholds by the share of harmless rows that reach them."""
    value, positive = score(chance, evidence.head), evidence.said[:, 0] < 0.5
    rates = {"fpr_0.1pct": 0.001, "fpr_1pct": 0.01, "fpr_3pct": 0.03}
    found = {name: threshold_at(value, positive, rate) for name, rate in rates.items()}
    return {**found, "balanced": 0.5}


def cascade(evidence: Evidence, first: np.ndarray, joined: np.ndarray) -> dict[str, Any] | None:
    """When the first stage may answer alone: where it errs no more than both together do."""
    head = evidence.head
    if head in SIGMOID:
        return None
    truth = evidence.said.argmax(1)
    if head not in NEGATIVE:
        sure, right = first.max(1), first.argmax(1) == truth
        goal = max(0.97, float((joined.argmax(1) == truth).mean()))
        return {"above": bound(sure, right, goal)}
    value, positive = score(first, head), truth > 0
    below = bound(1 - value, ~positive, 0.998)
    return {"below": None if below is None else 1 - below, "above": bound(value, positive, 0.998)}


def bound(sure: np.ndarray, right: np.ndarray, goal: float) -> float | None:
    """The lowest sureness from which on at least `goal` of the answers are right."""
    order = np.argsort(-sure)
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.nonzero((share >= goal) & (np.arange(len(order)) >= 50))[0]
    return float(sure[order[good[-1]]]) if len(good) else None


def calibrated(evidence: Evidence) -> dict[str, Any]:
    """All that a head's header says of numbers."""
    parts = {
        "encoder": fit(evidence, True, False),
        "ngrams": fit(evidence, False, True),
        "joined": fit(evidence, True, True),
    }
    joined = chances(mixed(parts["joined"], evidence.encoder, evidence.ngrams), evidence.head)
    first = chances(mixed(parts["ngrams"], None, evidence.ngrams), evidence.head)
    found: dict[str, Any] = {"calibration": parts, "cascade": cascade(evidence, first, joined)}
    if evidence.head in NEGATIVE:
        found["operating_points"] = points(evidence, joined)
    return found
