"""Fits what needs no training of the encoder on a file of weights: how the guard's stages are joined, and thresholds."""

import argparse
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from . import container, joint, seen
from .calibrate import LONG, Evidence, apply, fit, stands, sure
from .joint import Lesson
from .labels import ASKED, LABELS, TEXT_HEADS
from .metrics import threshold_at
from .rows import Row

JOINED = ("jailbreak",)
"""Heads that listen to others: where sources that a layer did not see gain by it. For the others they lose."""
RATES = {"fpr_0.1pct": 0.001, "fpr_1pct": 0.01, "fpr_3pct": 0.03}
ENOUGH = 20
"""Harmless rows of a source that say something of it."""
LONGEST = 6000


def source_of(row: Row) -> str:
    """Where a row is from; what we made counts by its family."""
    return f"{row.source}/{row.family.split('/')[0]}" if row.source.startswith("pointsman") else row.source


def by_source(value: np.ndarray, positive: np.ndarray, sources: np.ndarray, rate: float) -> float:
    """The threshold at which the alarms of harmless rows, averaged over sources, are at most `rate`."""
    calm, where = value[~positive], sources[~positive]
    names, index, sizes = np.unique(where, return_inverse=True, return_counts=True)
    kept = sizes[index] >= ENOUGH
    if not kept.any():
        return threshold_at(value, positive, rate)
    weight = np.where(kept, 1 / sizes[index], 0) / (sizes >= ENOUGH).sum()
    order = np.argsort(-calm)
    reached = np.cumsum(weight[order])
    first = int(np.searchsorted(reached, rate, side="right"))
    return float(np.nextafter(calm[order[min(first, len(order) - 1)]], np.inf))


def limits(chance: np.ndarray, proof: Evidence, sources: np.ndarray) -> list[dict[str, Any]]:
    """Thresholds that hold for all harmless rows, for long ones, and for sources on average."""
    labels, at = LABELS[proof.head], ASKED[proof.head]
    positive, value, found = proof.said[:, at] > 0.5, chance[:, at], []
    for name, rate in RATES.items():
        each = [threshold_at(value, positive, rate), by_source(value, positive, sources, rate)]
        long = proof.sizes > LONG
        if (long & ~positive).sum() >= 100:
            each.append(threshold_at(value[long], positive[long], rate))
        found.append({"name": name, "label": labels[at], "threshold": max(each)})
    return found + [{"name": "balanced", "label": one, "threshold": 0.5} for one in labels]


def named(many: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The settings of this name."""
    return next(one for one in many if one["name"] == name)


def refit_head(
    head: str, settings: dict[str, Any], parts: seen.Parts, rows: list[Row], both: dict[str, dict[str, np.ndarray]]
) -> None:
    """Joint, calibration and thresholds of a head that asks one question."""
    known = np.array([i for i, row in enumerate(rows) if head in row.targets])
    said = np.array([rows[i].targets[head] for i in known])
    sources = np.array([source_of(rows[i]) for i in known])
    weight = np.minimum(joint.balanced(sources), 8.0)
    mine, theirs = named(settings["heads"], head), named(settings["ngrams"]["heads"], head)
    sizes = np.array([len(rows[i].text) for i in known])
    first = both["first"][head][known]
    logits = both["encoder"][head][known] + mine["share"] * first
    if head in JOINED:
        columns = joint.inputs(both["encoder"], both["first"])[known]
        layer, logits, strength = joint.choose(Lesson(head, columns, said, sources, weight), mine["share"])
        print(head, "is drawn to the plain sum by", strength, flush=True)
        name = f"heads.{head}.joint"
        mine["joint"] = {"from": [list(one) for one in joint.order()], "layer": name}
        parts[name] = layer.weight.astype(np.float32)
        parts[f"{name}.bias"] = layer.bias.astype(np.float32)
    proof = Evidence(head, logits, np.zeros_like(logits), said, weight, sizes)
    if head in JOINED:
        mine["calibration"] = fit(proof, True)[1]
    joined = apply(mine["calibration"], logits)
    mine["points"] = limits(joined, proof, sources)
    if head in JOINED:
        before = apply(theirs["calibration"], first)
        mine["sure"] = sure(replace(proof, ngrams=first), before, joined)
        print(head, "the first stage answers", stands(mine["sure"], before).mean(), flush=True)


def write_texts(work: Path) -> None:
    """The texts that the engine is to read."""
    with (work / "rows.pickle").open("rb") as file:
        held = [row for row in pickle.load(file)["validation"] if not row.pair]
    rows = [row for row in held if row.targets]
    with (work / "held.pickle").open("wb") as file:
        pickle.dump(rows, file)
    lines = [json.dumps(row.text[:LONGEST]) + "\n" for row in rows]
    (work / "held.jsonl").write_text("".join(lines))


def main() -> None:
    """`texts WORK` writes what the engine reads; `fit WORK WEIGHTS OUT` fits on what it made of it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("step", choices=["texts", "fit"])
    parser.add_argument("work", type=Path)
    parser.add_argument("weights", type=Path, nargs="?")
    parser.add_argument("out", type=Path, nargs="?")
    given = parser.parse_args()
    if given.step == "texts":
        write_texts(given.work)
        return
    settings, parts = container.read(given.weights)
    parts = dict(parts)
    with (given.work / "held.pickle").open("rb") as file:
        rows = pickle.load(file)
    made = seen.read(given.work / "held")
    encoder = {head: made.encoder(parts, head) for head in TEXT_HEADS}
    for head in ASKED:
        if head in TEXT_HEADS:
            refit_head(head, settings, parts, rows, {"encoder": encoder, "first": made.first})
    container.write(given.out, settings, parts)


if __name__ == "__main__":
    main()
