"""How well cosine and the pair head tell the same question from a near miss."""

import numpy as np

from .calibrate import apply
from .figures import Figure, figure
from .metrics import auc
from .model import Student
from .predict import answers, pairs
from .rows import Row


def passing(value: np.ndarray, same: np.ndarray, rate: float) -> float:
    """Share of near misses that pass at the threshold that keeps `rate` of the true pairs."""
    threshold = np.quantile(value[same], 1 - rate)
    return float((value[~same] >= threshold).mean())


def similarity(student: Student, settings: dict, rows: list[Row]) -> list[Figure]:
    """AUC and near misses passing at 60 % of true pairs kept; the same for each kind."""
    firsts = answers(student, [row.text for row in rows], want_tags=False).vectors
    seconds = answers(student, [row.pair for row in rows], want_tags=False).vectors
    same = np.array([row.targets["pair"][0] > 0.5 for row in rows])
    values = {"cosine": (firsts * seconds).sum(1)}
    for one in settings["heads"]:
        if one["name"] == "pair":
            values["pair head"] = apply(one["calibration"], pairs(student, rows))[:, 0]
    found, count = [], len(rows)
    for stage, value in values.items():
        found.append(figure("pair", "AUC", stage, lambda i, v=value: auc(v[i], same[i]), count))
        how = lambda i, v=value: passing(v[i], same[i], 0.6)
        found.append(figure("pair", "near misses passing, 60 % kept", stage, how, count))
        threshold = np.quantile(value[same], 0.4)
        for kind in sorted({row.kind for row, yes in zip(rows, same, strict=True) if not yes}):
            here = np.array([row.kind == kind for row in rows]) & ~same
            passed = (value[here] >= threshold).astype(float)
            name = f"near misses passing: {kind}"
            found.append(figure("pair", name, stage, lambda i, p=passed: p[i].mean(), len(passed)))
    return found


def faithful(
    student: Student, rows: list[Row], teacher: tuple[dict[str, int], np.ndarray]
) -> Figure:
    """Spearman of the exit's cosines with those of the six-layer base."""
    places, vectors = teacher
    rows = [row for row in rows if row.text in places and row.pair in places]
    firsts = answers(student, [row.text for row in rows], want_tags=False).vectors
    seconds = answers(student, [row.pair for row in rows], want_tags=False).vectors
    mine = (firsts * seconds).sum(1)
    one = vectors[[places[row.text] for row in rows]].astype(np.float32)
    two = vectors[[places[row.pair] for row in rows]].astype(np.float32)
    theirs = (one * two).sum(1)

    def rank(value: np.ndarray) -> np.ndarray:
        return np.argsort(np.argsort(value))

    how = lambda i: float(np.corrcoef(rank(mine[i]), rank(theirs[i]))[0, 1])
    return figure("embedding", "Spearman with the base", "exit", how, len(rows))
