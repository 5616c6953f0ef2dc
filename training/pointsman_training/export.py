"""Puts a trained student, its first stage and their calibration into a file of weights."""

import argparse
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import container, first_stage
from .calibrate import Evidence, apply, fit, points, sure
from .int8 import rows_to_int8
from .labels import PII_TAGS, SIGMOID, TEXT_HEADS
from .model import HEADS, HIDDEN, INTERMEDIATE, MIDDLE, Encoder, Student, from_base
from .ngrams import BITS, RUNS
from .predict import Answers, answers, pairs
from .quantize import quantized
from .rows import Row
from .spans import counts, decode, f_beta
from .tokens import CONTENT, OVERLAP, base_folder

Parts = dict[str, np.ndarray]
BLOCK = {"qkv": "mix", "joined": "out", "wide": "up", "narrow": "down"}
NORMS = {"norm": "norm1", "norm_out": "norm2"}


def array(value: torch.Tensor) -> np.ndarray:
    """f32 of a tensor."""
    return value.detach().float().numpy().copy()


def linear(parts: Parts, name: str, layer: torch.nn.Linear) -> None:
    """Adds a linear layer."""
    parts[name], parts[f"{name}.scale"] = rows_to_int8(array(layer.weight))
    parts[f"{name}.bias"] = array(layer.bias)


def encoder_parts(encoder: Encoder) -> Parts:
    """The encoder, under the engine's names."""
    vocabulary = (base_folder() / "vocab.txt").read_bytes().rstrip(b"\n")
    parts: Parts = {"vocabulary": np.frombuffer(vocabulary, np.uint8)}
    parts["words"], parts["words.scale"] = rows_to_int8(array(encoder.words.weight))
    parts["positions"] = array(encoder.positions.weight)
    parts["words.norm.weight"] = array(encoder.norm.weight)
    parts["words.norm.bias"] = array(encoder.norm.bias)
    for number, layer in enumerate(encoder.layers):
        for mine, name in BLOCK.items():
            linear(parts, f"block.{number}.{name}", getattr(layer, mine))
        for mine, name in NORMS.items():
            parts[f"block.{number}.{name}.weight"] = array(getattr(layer, mine).weight)
            parts[f"block.{number}.{name}.bias"] = array(getattr(layer, mine).bias)
    return parts


def encoder_settings(layers: int, positions: int) -> dict[str, Any]:
    """The shape of an encoder, its windows and its embedding."""
    return {
        "encoder": {
            "vocabulary": 30522, "width": HIDDEN, "heads": HEADS, "inner": INTERMEDIATE,
            "blocks": layers, "positions": positions, "epsilon": 1e-12,
            "lowercase": True, "strip_accents": True,
        },
        "window": CONTENT + 2,
        "overlap": OVERLAP,
        "embedding": {"exit": layers, "reads": "mean"},
    }  # fmt: skip


def across(head: str) -> str:
    """How windows are put together."""
    return "any" if head in SIGMOID else "weighted"


def evidence(rows: list[Row], said: Answers, first: np.ndarray, head: str) -> Evidence:
    """What both stages say of the rows that know a head; `first` has all columns of all rows."""
    known, truth, weight = first_stage.targets(rows, head)
    start, end = first_stage.places()[head]
    sizes = np.array([len(rows[i].text) for i in known])
    return Evidence(head, said.logits[head][known], first[known, start:end], truth, weight, sizes)


def alarms(rows: list[Row], said: Answers, threshold: float) -> tuple[float, float]:
    """Span F2 at a threshold, and the share of texts without personal data that raise an alarm."""
    known = [i for i, row in enumerate(rows) if row.spans is not None]
    kept = [decode(rows[i].text, said.tags[i], said.pieces[i], threshold) for i in known]
    clean = [bool(k) for k, i in zip(kept, known, strict=True) if not rows[i].spans]
    return f_beta(counts(kept, [rows[i].spans or [] for i in known])), float(np.mean(clean))


def pii_threshold(rows: list[Row], said: Answers) -> float:
    """The highest threshold whose F2 is within a hundredth of the best, of those at which few texts raise an alarm."""
    found = [(*alarms(rows, said, t), float(t)) for t in np.arange(0.3, 0.96, 0.05)]
    quiet = [one for one in found if one[1] <= 0.01] or found[-1:]
    best = max(quiet)[0]
    return round(max(one[2] for one in quiet if one[0] >= best - 0.01), 2)


def head_settings(proof: Evidence, layers: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A head of the encoder and its counterpart in the first stage."""
    head = proof.head
    _, own = fit(proof, False)
    share, joint = fit(proof, True)
    first = apply(own, proof.ngrams)
    both = apply(joint, proof.encoder + share * proof.ngrams)
    common = {"name": head, "labels": TEXT_HEADS[head], "across": across(head)}
    names = [[f"heads.{head}.dense", MIDDLE], [f"heads.{head}.out", len(TEXT_HEADS[head])]]
    mine = {
        **common, "exit": layers, "reads": "first_and_mean", "layers": names,
        "calibration": joint, "points": points(proof, both), "first": head,
        "sure": sure(proof, first, both), "share": share,
    }  # fmt: skip
    column = first_stage.places()[head][0]
    theirs = {**common, "first_column": column, "calibration": own, "points": points(proof, first)}
    return mine, theirs


def pii_first(rows: list[Row], first: np.ndarray) -> dict[str, Any]:
    """The first stage's head that tells texts without personal data."""
    known, truth, weight = first_stage.targets(rows, "has_pii")
    start, end = first_stage.places()["has_pii"]
    raw = first[known, start:end]
    proof = Evidence("has_pii", raw, raw, truth, weight)
    _, own = fit(proof, False)
    return {
        "name": "has_pii", "labels": ["no", "yes"], "first_column": start, "across": "weighted",
        "calibration": own, "points": points(proof, apply(own, raw)),
    }  # fmt: skip


def pair_settings(student: Student, rows: list[Row], layers: int) -> dict[str, Any]:
    """The head for two questions; its thresholds are named by the near misses that pass."""
    mine = [row for row in rows if row.pair]
    said = pairs(student, mine)
    truth = np.array([row.targets["pair"] for row in mine])
    proof = Evidence("pair", said, np.zeros_like(said), truth, np.ones(len(mine)))
    _, own = fit(proof, True)
    names = [["heads.pair.dense", MIDDLE], ["heads.pair.out", 1]]
    return {
        "name": "pair", "labels": ["same"], "exit": layers, "reads": "first_and_mean",
        "across": "any", "layers": names, "calibration": own,
        "points": points(proof, apply(own, said)),
    }  # fmt: skip


def heads_and_ngrams(
    student: Student, rows: list[Row], table: first_stage.Table, pair: bool
) -> dict[str, Any]:
    """Settings of heads, tagger and first stage, fitted on validation rows."""
    layers = len(student.trunk.layers)
    single = [row for row in rows if not row.pair]
    said = answers(student, [row.text for row in single])
    first = table.read([row.text for row in single])
    both = [head_settings(evidence(single, said, first, head), layers) for head in TEXT_HEADS]
    heads = [mine for mine, _ in both]
    if pair:
        heads.append(pair_settings(student, rows, layers))
    tagger = {
        "name": "pii", "labels": PII_TAGS, "exit": layers, "layer": "heads.pii.out",
        "calibration": {"temperature": 1.0}, "threshold": pii_threshold(single, said),
    }  # fmt: skip
    ngrams = {
        "bits": BITS, "runs": list(RUNS), "columns": first_stage.COLUMNS,
        "heads": [theirs for _, theirs in both] + [pii_first(single, first)],
    }  # fmt: skip
    return {"heads": heads, "taggers": [tagger], "ngrams": ngrams}


def understand(
    out: Path, student: Student, table: first_stage.Table, rows: list[Row], pair: bool
) -> None:
    """Writes the model of all heads; calibrated on validation rows, as int8 computes them."""
    parts = encoder_parts(student.trunk)
    for name, head in student.heads.items():
        if name != "pair" or pair:
            linear(parts, f"heads.{name}.dense", head.dense)
            linear(parts, f"heads.{name}.out", head.out)
    linear(parts, "heads.pii.out", student.pii)
    values, scale = first_stage.quantize(table)
    parts |= {"ngrams": values, "ngrams.scale": scale, "ngrams.bias": table.bias}
    settings = encoder_settings(len(student.trunk.layers), CONTENT + 2)
    small = first_stage.Table(values * scale, table.bias)
    settings |= heads_and_ngrams(quantized(student), rows, small, pair)
    container.write(out, settings, parts)


def embed(out: Path) -> None:
    """Writes the six-layer base for embeddings alone."""
    settings = {**encoder_settings(6, CONTENT + 2), "heads": []}
    container.write(out, settings, encoder_parts(from_base(list(range(6)), CONTENT + 2)))


def main() -> None:
    """Writes both models into a folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("work", type=Path, help="folder of rows, table and student")
    parser.add_argument("out", type=Path)
    parser.add_argument("--pair", action="store_true", help="with the head for two questions")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    embed(given.out / "embed.weights")
    with (given.work / "rows.pickle").open("rb") as file:
        rows = pickle.load(file)["validation"]
    with (given.work / "table.pickle").open("rb") as file:
        table = pickle.load(file)
    student = Student(Encoder(3, CONTENT + 2)).eval()
    kept = torch.load(given.work / "student.pt", weights_only=False)
    student.load_state_dict(kept["student"])
    understand(given.out / "understand.weights", student, table, rows, given.pair)


if __name__ == "__main__":
    main()
