"""Figures of quality with bootstrap intervals."""

from collections.abc import Callable, Sequence

import numpy as np

Measure = Callable[[np.ndarray], float]


def auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive scores above a negative; ties count half."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    ones, zeros = positive.sum(), (~positive).sum()
    if not ones or not zeros:
        return float("nan")
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def threshold_at(score: np.ndarray, positive: np.ndarray, rate: float) -> float:
    """The lowest threshold that at most `rate` of the negatives reach."""
    negatives = np.sort(score[~positive])[::-1]
    allowed = int(np.floor(rate * len(negatives)))
    return float(np.nextafter(negatives[allowed], np.inf)) if len(negatives) > allowed else 0.0


def recall_at(score: np.ndarray, positive: np.ndarray, rate: float) -> float:
    """Share of positives found when at most `rate` of the negatives raise an alarm."""
    return float((score[positive] >= threshold_at(score, positive, rate)).mean())


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error over bins of equal width."""
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for one in range(bins):
        here = index == one
        if here.any():
            total += here.mean() * abs(confidence[here].mean() - right[here].mean())
    return float(total)


def interval(
    measure: Measure, groups: Sequence[str] | int, rounds: int = 300, seed: int = 7
) -> tuple[float, float, float]:
    """The figure and its 95 % bootstrap bounds; whole groups are drawn where groups are given."""
    draw = np.random.default_rng(seed)
    if isinstance(groups, int):
        everything, members = np.arange(groups), None
    else:
        names, index = np.unique(np.asarray(groups), return_inverse=True)
        everything = np.arange(len(index))
        members = [np.nonzero(index == one)[0] for one in range(len(names))]
    values = []
    for _ in range(rounds):
        if members is None:
            sample = draw.integers(0, len(everything), len(everything))
        else:
            picked = draw.integers(0, len(members), len(members))
            sample = np.concatenate([members[one] for one in picked])
        values.append(measure(sample))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return measure(everything), float(low), float(high)
