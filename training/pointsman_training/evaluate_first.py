"""Measures the first stage by itself on the development files: the n-gram baseline, f32 and int8."""

import argparse
import pickle
from pathlib import Path

import numpy as np

from .calibrate import Evidence
from .evaluate import Judged, difficulty, hazards, manifold
from .figures import Figure, figure
from .first_stage import HEADS, Table, chances, places, quantize, targets
from .labels import ASKED
from .metrics import auc, recall_at
from .rows import Row, read_all


def judged(rows: list[Row], raw: np.ndarray, head: str, stage: str) -> Judged:
    """One stage's probabilities of the rows that know a head."""
    known, truth, weight = targets(rows, head)
    first, last = places()[head]
    logits = raw[known, first:last]
    proof = Evidence(head, logits, logits, truth, weight)
    chance = chances(raw)[known, first:last]
    mine = [rows[i] for i in known]
    return Judged(mine, proof, {stage: chance}, np.zeros(len(mine), bool), {})


def asked(one: Judged, stage: str) -> list[Figure]:
    """AUC and recall of a head of one question."""
    head, at = one.proof.head, ASKED[one.proof.head]
    truth, value = one.proof.said[:, at] > 0.5, one.proof.ngrams[:, at]
    if head == "has_pii":
        value = value - one.proof.ngrams[:, 0]
    groups = [r.family if p else r.text[:80] for r, p in zip(one.rows, truth, strict=True)]
    area = lambda i: auc(value[i], truth[i])
    caught = lambda i: recall_at(value[i], truth[i], 0.01)
    return [
        figure(head, "AUC", stage, area, groups),
        figure(head, "recall at 1 % false positives", stage, caught, groups),
    ]


def measure(rows: list[Row], table: Table, stage: str) -> list[Figure]:
    """All figures of one table."""
    raw, found = table.read([row.text for row in rows]), []
    for head in HEADS:
        one = judged(rows, raw, head, stage)
        if head == "difficulty":
            found += difficulty(one)
        elif head not in ASKED:
            one.said["joined"] = one.said[stage]
            found += [f for f in manifold(one) if f.stage == stage or f.measure.startswith("cal")]
        else:
            found += asked(one, stage)
        if head == "harmful":
            found += hazards(one, (stage,))
    return found


def main() -> None:
    """Prints a table of figures."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("table", type=Path)
    given = parser.parse_args()
    with given.table.open("rb") as file:
        table = pickle.load(file)
    rows = read_all(given.data, "dev")
    values, scale = quantize(table)
    found = measure(rows, table, "n-grams f32")
    found += measure(rows, Table(values * scale, table.bias), "n-grams int8")
    for one in found:
        print(one.line(), flush=True)


if __name__ == "__main__":
    main()
