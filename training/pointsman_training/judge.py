"""Fits the judge of the same question: a small network over what `similar` finds, in numpy.

    cargo run --release --example similar -- features DATA/pairs/train.jsonl.gz > FEATURES
    python -m pointsman_training.judge DATA FEATURES OUT [--weights understand.weights]

FEATURES are lines as `crates/semantics/examples/similar.rs` writes them, one for each training row, so that what is fitted sees
what the engine will see. Where weights with the head for two questions are given, a line joins the judge's score with that head's, fitted on
the rows that the student never saw. Scores that choose thresholds are those of networks that never saw the row's group: rows that share a text, and all
wordings of one template, are one group. The development file is not opened.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import container
from .rows import pair_rows
from .split import divide

COMPARE = Path(__file__).parents[2] / "crates/semantics/src/similar/compare.rs"
FOLDS = 5
HIDDEN = 24
STEPS = 1500
SPREAD = 3e-3
"""Decay of weights."""


@dataclass
class Rows:
    """Everything about the training pairs."""

    names: list[str]
    seen: np.ndarray
    same: np.ndarray
    kinds: np.ndarray
    conflict: np.ndarray
    group: np.ndarray
    weight: np.ndarray


@dataclass
class Net:
    """A layer with a ramp, and a line."""

    mean: np.ndarray
    scale: np.ndarray
    hidden: np.ndarray
    hidden_bias: np.ndarray
    out: np.ndarray
    bias: float

    def score(self, seen: np.ndarray) -> np.ndarray:
        """Logits."""
        x = (seen - self.mean) * self.scale
        return np.maximum(x @ self.hidden.T + self.hidden_bias, 0) @ self.out + self.bias


def groups(firsts: list[str], seconds: list[str]) -> np.ndarray:
    """The same number for rows that are joined by a text, digits left out."""
    parent: dict[str, str] = {}

    def root(text: str) -> str:
        parent.setdefault(text, text)
        while parent[text] != text:
            parent[text] = parent[parent[text]]
            text = parent[text]
        return text

    for a, b in zip(firsts, seconds, strict=True):
        parent[root(a)] = root(b)
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(root(a), len(numbers)) for a in firsts])


def template(text: str) -> str:
    """A text without its names and numbers, so that wordings of one template are one group."""
    words = [w for w in text.split() if not any(c.isdigit() for c in w)]
    return " ".join(w.lower() for at, w in enumerate(words) if at == 0 or not w[:1].isupper())


def balance(kinds: np.ndarray) -> np.ndarray:
    """Each kind counts by the root of its rows; near misses and true pairs count the same."""
    weight = np.zeros(len(kinds))
    for kind in set(kinds):
        here = kinds == kind
        weight[here] = 1 / np.sqrt(here.sum())
    same = np.array([kind.startswith("1") for kind in kinds])
    for side in (same, ~same):
        weight[side] /= weight[side].sum()
    return weight * len(kinds) / 2


def fit(seen: np.ndarray, same: np.ndarray, weight: np.ndarray, seed: int) -> Net:
    """Adam over the whole set."""
    draw = np.random.default_rng(seed)
    mean, scale = seen.mean(0), 1 / np.maximum(seen.std(0), 1e-3)
    x, count = (seen - mean) * scale, len(seen)
    p = {
        "hidden": draw.normal(0, 1 / np.sqrt(x.shape[1]), (HIDDEN, x.shape[1])),
        "hidden_bias": np.zeros(HIDDEN),
        "out": draw.normal(0, 1 / np.sqrt(HIDDEN), HIDDEN),
        "bias": np.zeros(1),
    }
    first = {k: np.zeros_like(v) for k, v in p.items()}
    second = {k: np.zeros_like(v) for k, v in p.items()}
    for step in range(1, STEPS + 1):
        some = draw.integers(0, count, 1024)
        xs, ys, ws = x[some], same[some], weight[some] / weight.mean()
        inner = xs @ p["hidden"].T + p["hidden_bias"]
        ramp = np.maximum(inner, 0)
        chance = 1 / (1 + np.exp(-(ramp @ p["out"] + p["bias"][0])))
        off = (chance - ys) * ws / len(some)
        back = np.outer(off, p["out"]) * (inner > 0)
        slope = {
            "hidden": back.T @ xs + SPREAD * p["hidden"],
            "hidden_bias": back.sum(0),
            "out": ramp.T @ off + SPREAD * p["out"],
            "bias": np.array([off.sum()]),
        }
        rate = 0.01 * min(1.0, 2 * (1 - step / (STEPS + 1)))
        for k, v in slope.items():
            first[k] = 0.9 * first[k] + 0.1 * v
            second[k] = 0.999 * second[k] + 0.001 * v * v
            m, s = first[k] / (1 - 0.9**step), second[k] / (1 - 0.999**step)
            p[k] = p[k] - rate * m / (np.sqrt(s) + 1e-8)
    return Net(mean, scale, p["hidden"], p["hidden_bias"], p["out"], float(p["bias"][0]))


def platt(score: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Slopes and shift of a logistic line through one or more scores, by Newton's steps."""
    x = np.column_stack([score, np.ones(len(same))])
    line = np.zeros(x.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(x @ line, -30, 30)))
        bend = (x * (chance * (1 - chance))[:, None]).T @ x + 1e-6 * np.eye(x.shape[1])
        line = line - np.linalg.solve(bend, x.T @ (chance - same))
    return line


def threshold(score: np.ndarray, rows: Rows, whole: float, each: float) -> float:
    """The least probability at which few near misses pass: of all, and of each kind with 50 rows or more."""
    near = ~rows.same
    passing = np.where(rows.conflict, -np.inf, score)
    found = np.quantile(passing[near], 1 - whole, method="higher")
    for kind in set(rows.kinds[near]):
        here = near & (rows.kinds == kind)
        if here.sum() >= 50:
            found = max(found, np.quantile(passing[here], 1 - each, method="higher"))
    return float(1 / (1 + np.exp(-(found + 1e-6)))) if np.isfinite(found) else 0.5


POINTS = {"precise": (0.005, 0.05), "balanced": (0.01, 0.08)}
"""Shares of near misses that may pass: of all, and of each kind."""


def points(score: np.ndarray, rows: Rows) -> list[dict[str, Any]]:
    """Named thresholds."""
    return [
        {"name": name, "label": "same", "threshold": threshold(score, rows, *share)}
        for name, share in POINTS.items()
    ]


def report(score: np.ndarray, rows: Rows, said: list[dict[str, Any]]) -> None:
    """Prints what passes, by kind."""
    chance = np.where(rows.conflict, 0, 1 / (1 + np.exp(-score)))
    print("same? kind rows " + " ".join(one["name"] for one in said))
    for kind in sorted(set(rows.kinds)) + ["0", "1"]:
        here = np.array([k.startswith(kind) if len(kind) == 1 else k == kind for k in rows.kinds])
        shares = [100 * (chance[here] >= one["threshold"]).mean() for one in said]
        print(kind, here.sum(), *(f"{share:.1f}" for share in shares))


def read(data: Path, features: Path) -> tuple[Rows, list]:
    """Rows with their features."""
    pairs = list(pair_rows(data, "train"))
    with features.open() as file:
        found = [json.loads(line) for line in file]
    if len(found) != len(pairs):
        raise SystemExit(f"{features} has {len(found)} lines, the training file {len(pairs)} rows")
    same = np.array([row.targets["pair"][0] > 0.5 for row in pairs])
    kinds = np.array([f"{int(yes)} {row.kind.split(':')[0]}" for row, yes in zip(pairs, same, strict=True)])
    made = [row.source == "pointsman-groups" for row in pairs]
    keys = [
        [template(text) if own else text for row, own in zip(pairs, made, strict=True) for text in [get(row)]]
        for get in (lambda row: row.text, lambda row: row.pair)
    ]
    return Rows(
        [], np.array([one["features"] for one in found]), same, kinds,
        np.array([one["conflict"] is not None for one in found]), groups(*keys), balance(kinds),
    ), pairs  # fmt: skip


def together(pairs: list, weights: Path) -> np.ndarray:
    """What the head for two questions says of each pair, as the logarithm of its odds."""
    import torch

    from .calibrate import apply
    from .load import load
    from .predict import pairs as read_pairs

    torch.set_num_threads(1)
    settings, student, _ = load(weights)
    heads = [one for one in settings["heads"] if one["name"] == "pair"]
    if not heads:
        raise SystemExit(f"{weights} has no head for two questions; export it with --pair")
    chance = apply(heads[0]["calibration"], read_pairs(student, pairs))[:, 0]
    chance = np.clip(chance, 1e-6, 1 - 1e-6)
    return np.log(chance / (1 - chance))


def held_out(rows: Rows) -> np.ndarray:
    """Each row's score by a network that never saw its group."""
    fold = np.random.default_rng(7).integers(0, FOLDS, rows.group.max() + 1)[rows.group]
    score = np.zeros(len(rows.same))
    for one in range(FOLDS):
        learn = (fold != one) & ~rows.conflict
        net = fit(rows.seen[learn], rows.same[learn], rows.weight[learn], one)
        score[fold == one] = net.score(rows.seen[fold == one])
    return score


def joined(score: np.ndarray, weights: Path, rows: Rows, pairs: list) -> dict[str, Any]:
    """The line that joins both scores, on rows that the student never saw."""
    _, kept = divide(pairs)
    texts = {(row.text, row.pair) for row in kept}
    here = np.array([(row.text, row.pair) in texts for row in pairs])
    mine = Rows(rows.names, rows.seen[here], rows.same[here], rows.kinds[here],
                rows.conflict[here], rows.group[here], rows.weight[here])  # fmt: skip
    score = score[here]
    pair = together([row for row, yes in zip(pairs, here, strict=True) if yes], weights)
    use = ~mine.conflict
    line = platt(np.column_stack([score, pair])[use], mine.same[use])
    both = score * line[0] + pair * line[1] + line[2]
    said = points(both, mine)
    report(both, mine, said)
    return {
        "joined": {"own": line[0], "encoder": line[1], "bias": line[2]},
        "joined_points": said,
    }


def main() -> None:
    """Fits, chooses thresholds and writes the file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--names", type=Path, default=COMPARE, help="where features are named")
    given = parser.parse_args()
    rows, pairs = read(given.data, given.features)
    text = given.names.read_text()
    text = text[text.index("pub const FEATURES") :]
    rows.names = text[: text.index("];")].split('"')[1::2]
    score = held_out(rows)
    use = ~rows.conflict
    slope, shift = platt(score[use], rows.same[use])
    score = score * slope + shift
    said = points(score, rows)
    report(score, rows, said)
    net = fit(rows.seen[use], rows.same[use], rows.weight[use], 99)
    settings: dict[str, Any] = {
        "features": rows.names, "hidden": HIDDEN,
        "bias": net.bias * slope + shift, "points": said,
    }  # fmt: skip
    if given.weights:
        settings |= joined(score, given.weights, rows, pairs)
    parts = {
        "mean": net.mean, "scale": net.scale, "hidden": net.hidden,
        "hidden.bias": net.hidden_bias, "out": net.out * slope,
    }  # fmt: skip
    container.write(given.out, settings, {k: v.astype(np.float32) for k, v in parts.items()})


if __name__ == "__main__":
    main()
