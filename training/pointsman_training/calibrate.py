"""Turns logits into probabilities, and sets thresholds, on validation rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from .labels import ASKED, LABELS, SIGMOID, UNKNOWN
from .metrics import threshold_at

Calibration = dict[str, Any]
ALIKE = {"feedback"}
"""Heads whose validation rows are too much like their training rows to say when the first stage suffices."""


@dataclass
class Evidence:
    """What both stages said of the rows that know a head, and the truth."""

    head: str
    encoder: np.ndarray
    ngrams: np.ndarray
    said: np.ndarray
    weight: np.ndarray


def softmax(raw: np.ndarray) -> np.ndarray:
    """Probabilities of labels of which one holds."""
    grown = np.exp(raw - raw.max(1, keepdims=True))
    return grown / grown.sum(1, keepdims=True)


def logistic(raw: np.ndarray) -> np.ndarray:
    """Probabilities of labels that hold each by itself."""
    return 1 / (1 + np.exp(-np.clip(raw, -60, 60)))


def apply(calibration: Calibration, logits: np.ndarray) -> np.ndarray:
    """Probabilities as the gateway computes them; in f64, so that fitting sees small steps."""
    logits = logits.astype(np.float64)
    if "temperature" in calibration:
        return softmax(logits / calibration["temperature"])
    slope, shift = np.array(calibration["platt"], np.float64).T
    return logistic(logits * slope + shift)


def cost(chance: np.ndarray, evidence: Evidence) -> float:
    """Weighted log loss; what a row does not know counts nothing."""
    chance, said = np.clip(chance, 1e-9, 1 - 1e-9), evidence.said
    each = -said * np.log(chance)
    if evidence.head in SIGMOID:
        each = np.where(said == UNKNOWN, 0, each - (1 - said) * np.log(1 - chance))
    return float((each.sum(1) * evidence.weight).sum() / evidence.weight.sum())


def shaped(flat: np.ndarray, head: str) -> Calibration:
    """A calibration of free numbers."""
    if head not in SIGMOID:
        return {"temperature": float(np.exp(flat[0]))}
    slopes, shifts = np.exp(flat[: len(flat) // 2]), flat[len(flat) // 2 :]
    return {"platt": [[float(a), float(b)] for a, b in zip(slopes, shifts, strict=True)]}


def fit(evidence: Evidence, encoder: bool) -> tuple[float, Calibration]:
    """The first stage's share and the calibration of what is joined, or of the first stage alone."""
    labels = len(LABELS[evidence.head])
    size = 2 * labels if evidence.head in SIGMOID else 1

    def logits(share: float) -> np.ndarray:
        return evidence.encoder + share * evidence.ngrams if encoder else evidence.ngrams

    def loss(flat: np.ndarray) -> float:
        value = cost(apply(shaped(flat[1:], evidence.head), logits(flat[0])), evidence)
        return value + 1e-3 * float((flat**2).sum())

    # Rows of validation are like those of training in wording, which flatters the n-grams: they never count more.
    bounds = [(None, 1.0)] + [(None, None)] * size
    found = minimize(loss, np.zeros(size + 1), method="L-BFGS-B", bounds=bounds).x
    return float(found[0]) if encoder else 0.0, shaped(found[1:], evidence.head)


def points(evidence: Evidence, chance: np.ndarray) -> list[dict[str, Any]]:
    """Thresholds by the share of harmless rows that reach them; one half for every label."""
    labels, found = LABELS[evidence.head], []
    if evidence.head in ASKED:
        at = ASKED[evidence.head]
        for name, rate in (("fpr_0.1pct", 0.001), ("fpr_1pct", 0.01), ("fpr_3pct", 0.03)):
            limit = threshold_at(chance[:, at], evidence.said[:, at] > 0.5, rate)
            found.append({"name": name, "label": labels[at], "threshold": limit})
    return found + [{"name": "balanced", "label": one, "threshold": 0.5} for one in labels]


def bound(sure: np.ndarray, right: np.ndarray, goal: float) -> float | None:
    """The lowest sureness from which on at least `goal` of the answers are right."""
    order = np.argsort(-sure)
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.nonzero((share >= goal) & (np.arange(len(order)) >= 50))[0]
    return float(sure[order[good[-1]]]) if len(good) else None


def sure(evidence: Evidence, first: np.ndarray, joined: np.ndarray) -> Any:
    """When the first stage may answer alone: where it errs no more than both together do."""
    if evidence.head in ALIKE:
        return "never"
    if evidence.head not in ASKED:
        truth = evidence.said.argmax(1)
        goal = max(0.97, float((joined.argmax(1) == truth).mean()))
        least = bound(first.max(1), first.argmax(1) == truth, goal)
        return "never" if least is None else {"best": least}
    at = ASKED[evidence.head]
    value, positive = first[:, at], evidence.said[:, at] > 0.5
    low, high = bound(1 - value, ~positive, 0.998), bound(value, positive, 0.998)
    low, high = (-1.0 if low is None else 1 - low), (2.0 if high is None else high)
    return {"outside": {"class": at, "low": low, "high": high}} if low < high else "never"


def stands(rule: Any, chance: np.ndarray) -> np.ndarray:
    """Which first answers stand."""
    if rule == "never":
        return np.zeros(len(chance), bool)
    if "best" in rule:
        return chance.max(1) >= rule["best"]
    one = rule["outside"]
    value = chance[:, one["class"]]
    return (value <= one["low"]) | (value >= one["high"])
