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
from .gather import gather
from .joint import Lesson
from .labels import ASKED, LABELS, TEXT_HEADS
from .metrics import threshold_at
from .rows import Row

REFITTED = ("jailbreak", "harmful")
"""Heads of one question whose harmless validation rows are from several sources."""
JOINED = ("jailbreak",)
"""Heads that listen to others: where sources that a layer did not see gain by it. For the others they lose."""
RATES = {"fpr_0.1pct": 0.001, "fpr_1pct": 0.01, "fpr_3pct": 0.03}
ENOUGH, SEVERAL = (100, 50), 4
"""Harmless rows of a source that say what one in a hundred of them is; the second, where not so many sources have the first."""
LONGEST = 6000


def source_of(row: Row) -> str:
    """Where a row is from; what we made counts by its family."""
    return (
        f"{row.source}/{row.family.split('/')[0]}"
        if row.source.startswith("pointsman")
        else row.source
    )


def of_sources(
    value: np.ndarray, positive: np.ndarray, sources: np.ndarray, rate: float
) -> list[float]:
    """The thresholds that so few harmless rows of each source reach; of sources large enough to say so."""
    names, sizes = np.unique(sources[~positive], return_counts=True)
    large = next(
        names[sizes >= least]
        for least in (*ENOUGH, 0)
        if (sizes >= least).sum() >= SEVERAL or not least
    )
    return [
        threshold_at(value[here], positive[here], rate)
        for here in (sources == one for one in large)
    ]


def limits(chance: np.ndarray, proof: Evidence, sources: np.ndarray) -> list[dict[str, Any]]:
    """Thresholds that hold for all harmless rows, for long ones, and for each source by itself: traffic is like one of them.
    No source has rows enough to say what one in a thousand is."""
    labels, at = LABELS[proof.head], ASKED[proof.head]
    positive, value, found, least = proof.said[:, at] > 0.5, chance[:, at], [], 0.0
    long = proof.sizes > LONG
    for name, rate in sorted(RATES.items(), key=lambda one: -one[1]):
        each = [least, threshold_at(value, positive, rate)]
        if rate * ENOUGH[0] >= 1:
            each += of_sources(value, positive, sources, rate)
        if (long & ~positive).sum() >= 100:
            each.append(threshold_at(value[long], positive[long], rate))
        least = max(each)
        found.insert(0, {"name": name, "label": labels[at], "threshold": least})
    return found + [{"name": "balanced", "label": one, "threshold": 0.5} for one in labels]


def named(many: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The settings of this name."""
    return next(one for one in many if one["name"] == name)


def refit_head(
    head: str,
    settings: dict[str, Any],
    parts: seen.Parts,
    rows: list[Row],
    both: dict[str, dict[str, np.ndarray]],
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
        layer, logits, strength = joint.choose(
            Lesson(head, columns, said, sources, weight), mine["share"]
        )
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


def write_texts(work: Path, data: Path) -> None:
    """The texts that the engine is to read: validation rows, which no weight was trained on."""
    work.mkdir(parents=True, exist_ok=True)
    held = [row for row in gather(data)[1] if not row.pair]
    rows = [row for row in held if row.targets]
    with (work / "held.pickle").open("wb") as file:
        pickle.dump(rows, file)
    lines = [json.dumps(row.text[:LONGEST]) + "\n" for row in rows]
    (work / "held.jsonl").write_text("".join(lines))


def main() -> None:
    """`texts WORK DATA` writes what the engine reads; `fit WORK WEIGHTS OUT` fits on what it made of it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("step", choices=["texts", "fit"])
    parser.add_argument("work", type=Path)
    parser.add_argument("given", type=Path, help="DATA or WEIGHTS")
    parser.add_argument("out", type=Path, nargs="?")
    given = parser.parse_args()
    if given.step == "texts":
        write_texts(given.work, given.given)
        return
    settings, parts = container.read(given.given)
    parts = dict(parts)
    with (given.work / "held.pickle").open("rb") as file:
        rows = pickle.load(file)
    made = seen.read(given.work / "held")
    encoder = {head: made.encoder(parts, head) for head in TEXT_HEADS}
    for head in REFITTED:
        refit_head(head, settings, parts, rows, {"encoder": encoder, "first": made.first})
    container.write(given.out, settings, parts)


if __name__ == "__main__":
    main()
