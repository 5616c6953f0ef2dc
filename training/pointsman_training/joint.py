"""Joins both stages: a linear layer over what several heads say, fitted on rows that no weight was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from . import first_stage
from .calibrate import logistic, softmax
from .labels import SIGMOID, TEXT_HEADS, UNKNOWN

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""How strongly the layer is drawn to the plain sum, weakest first."""


@dataclass
class Lesson:
    """Rows of one head: what all heads say of them, the truth, and where they are from."""

    head: str
    inputs: np.ndarray
    """Logits of all heads of the encoder, then of the first stage."""
    said: np.ndarray
    sources: np.ndarray
    weight: np.ndarray


@dataclass
class Layer:
    """`[labels, inputs]` and `[labels]`."""

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Logits."""
        return inputs @ self.weight.T + self.bias


def inputs(encoder: dict[str, np.ndarray], first: dict[str, np.ndarray]) -> np.ndarray:
    """Both stages' logits side by side, in the order of the heads."""
    both = [encoder[head] for head in TEXT_HEADS] + [first[head] for head in TEXT_HEADS]
    return np.concatenate(both, axis=1).astype(np.float64)


def order() -> list[tuple[str, str]]:
    """What the columns are."""
    return [("encoder", head) for head in TEXT_HEADS] + [("first", head) for head in TEXT_HEADS]


def places(head: str) -> tuple[slice, slice]:
    """A head's own columns of both stages."""
    sizes = [len(labels) for labels in TEXT_HEADS.values()]
    before = sum(sizes[: list(TEXT_HEADS).index(head)])
    own = slice(before, before + len(TEXT_HEADS[head]))
    return own, slice(own.start + sum(sizes), own.stop + sum(sizes))


def joined(mine: dict[str, Any], encoder: dict[str, np.ndarray], first: np.ndarray) -> np.ndarray:
    """What a head says of texts, out of both stages, as the engine joins them: the layer that its settings have (with its
    numbers, as `load` puts them there), or a share of the first stage's logits. `first` has all columns."""
    at = first_stage.places()
    if "joint" not in mine:
        return encoder[mine["name"]] + mine["share"] * first[:, slice(*at[mine["name"]])]
    each = [
        encoder[head] if stage == "encoder" else first[:, slice(*at[head])]
        for stage, head in mine["joint"]["from"]
    ]
    return np.concatenate(each, axis=1) @ mine["joint"]["weight"].T + mine["joint"]["bias"]


def balanced(sources: Sequence[str]) -> np.ndarray:
    """Weights by which a source counts by the root of its rows: a large one does not drown the others."""
    names, index, counts = np.unique(np.asarray(sources), return_inverse=True, return_counts=True)
    weight = 1 / np.sqrt(counts[index])
    return weight * len(index) / weight.sum() if len(names) else weight


def loss(
    flat: np.ndarray, base: np.ndarray, lesson: Lesson, strength: float
) -> tuple[float, np.ndarray]:
    """Log loss of the layer `base + flat` and its slope; columns count by how much they vary."""
    labels = lesson.said.shape[1]
    change = flat.reshape(labels, -1)
    scale = lesson.inputs.std(0) + 1e-6
    raw = lesson.inputs @ (base + change[:, :-1] / scale).T + change[:, -1]
    weight = (lesson.weight / lesson.weight.sum())[:, None]
    if lesson.head in SIGMOID:
        known = lesson.said != UNKNOWN
        chance = logistic(raw)
        each = np.logaddexp(0, raw) - lesson.said * raw
        value = float((each * known * weight).sum())
        slope = (chance - lesson.said) * known * weight
    else:
        chance = softmax(raw)
        value = float(-(lesson.said * np.log(chance + 1e-12) * weight).sum())
        slope = (chance * lesson.said.sum(1, keepdims=True) - lesson.said) * weight
    # The last column is the bias, which may be anything.
    held = change.copy()
    held[:, -1] = 0
    grown = np.concatenate([slope.T @ lesson.inputs / scale, slope.sum(0)[:, None]], axis=1)
    return value + strength * float((held**2).sum()), (grown + 2 * strength * held).ravel()


def start(head: str, share: float, columns: int) -> np.ndarray:
    """The layer that adds a share of the first stage's own logits to the encoder's."""
    base = np.zeros((len(TEXT_HEADS[head]), columns))
    own, first = places(head)
    base[:, own] = np.eye(len(base))
    base[:, first] = share * np.eye(len(base))
    return base


def fit(lesson: Lesson, share: float, strength: float) -> Layer:
    """The layer for these rows."""
    base = start(lesson.head, share, lesson.inputs.shape[1])
    # The plain sum is first brought to the scale of the truth, so that strength is spent on what is new.
    scales = np.geomspace(0.25, 4, 17)
    flat = np.zeros(base.shape[0] * (base.shape[1] + 1))
    base = base * min(scales, key=lambda one: loss(flat, base * one, lesson, 0.0)[0])
    found = minimize(
        loss, flat, (base, lesson, strength), "L-BFGS-B", jac=True, options={"maxiter": 200}
    )
    change = found.x.reshape(len(base), -1)
    return Layer(base + change[:, :-1] / (lesson.inputs.std(0) + 1e-6), change[:, -1])


def folds(sources: np.ndarray, count: int = 6) -> np.ndarray:
    """Whole sources dealt out to so many folds, large ones first."""
    names, index, sizes = np.unique(sources, return_inverse=True, return_counts=True)
    filled, fold = np.zeros(count), np.zeros(len(names), int)
    for at in np.argsort(-sizes):
        fold[at] = filled.argmin()
        filled[fold[at]] += sizes[at]
    return fold[index]


def part(lesson: Lesson, here: np.ndarray) -> Lesson:
    """Some of its rows."""
    return Lesson(
        lesson.head, lesson.inputs[here], lesson.said[here], lesson.sources[here], lesson.weight[here]
    )  # fmt: skip


def crossed(lesson: Lesson, share: float, strength: float) -> np.ndarray:
    """Logits of each row by a layer that saw no row of its source."""
    fold, out = folds(lesson.sources), np.zeros(lesson.said.shape)
    for one in np.unique(fold):
        here = fold == one
        out[here] = fit(part(lesson, ~here), share, strength)(lesson.inputs[here])
    return out


def choose(lesson: Lesson, share: float) -> tuple[Layer, np.ndarray, float]:
    """The layer, the logits that sources get from layers that did not see them, and the strength that did best there."""
    flat = np.zeros(lesson.said.shape[1] * (lesson.said.shape[1] + 1))
    best = None
    for strength in STRENGTHS:
        out = crossed(lesson, share, strength)
        own = Lesson(lesson.head, out, lesson.said, lesson.sources, lesson.weight)
        value = loss(flat, np.eye(out.shape[1]), own, 0.0)[0]
        if best is None or value < best[0]:
            best = (value, strength, out)
    return fit(lesson, share, best[1]), best[2], best[1]
