"""Builds the student and the first stage back from a container, to measure what ships."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import container
from .first_stage import Table
from .model import NAMES, Encoder, Student
from .quantize import quantized


def wide(tensors: dict[str, np.ndarray], name: str) -> torch.Tensor:
    """A matrix as f32."""
    value = tensors[name]
    if value.dtype == np.int8:
        value = value.astype(np.float32) * tensors[f"{name}.scale"][:, None]
    return torch.from_numpy(value.copy())


def encoder(header: dict[str, Any], tensors: dict[str, np.ndarray]) -> Encoder:
    """The encoder of a container; its int8 values come back unchanged when it is quantized again."""
    shape = header["encoder"]
    made = Encoder(shape["layers"], shape["positions"])
    state = {
        "words.weight": wide(tensors, "embeddings.word_embeddings.weight"),
        "positions.weight": wide(tensors, "embeddings.position_embeddings.weight"),
        "cases.weight": made.cases.weight.data,
        "norm.weight": wide(tensors, "embeddings.LayerNorm.weight"),
        "norm.bias": wide(tensors, "embeddings.LayerNorm.bias"),
    }
    if shape["case_classes"]:
        state["cases.weight"] = wide(tensors, "embeddings.case_embeddings.weight")
    for at in range(shape["layers"]):
        start = f"encoder.layer.{at}"
        for part in ("weight", "bias"):
            three = [
                wide(tensors, f"{start}.attention.self.{n}.{part}")
                for n in ("query", "key", "value")
            ]
            state[f"layers.{at}.qkv.{part}"] = torch.cat(three)
            for mine, name in NAMES.items():
                state[f"layers.{at}.{mine}.{part}"] = wide(tensors, f"{start}.{name}.{part}")
    made.load_state_dict(state)
    return quantized(made.eval())


def load(path: Path) -> tuple[dict[str, Any], Student, Table]:
    """Header, student and first stage."""
    header, tensors = container.read(path)
    student = Student(encoder(header, tensors))
    state = {}
    for name, head in student.heads.items():
        for part in head.state_dict():
            state[f"heads.{name}.{part}"] = wide(tensors, f"heads.{name}.{part}")
    for part in ("weight", "bias"):
        state[f"pii.{part}"] = wide(tensors, f"heads.pii.out.{part}")
        state[f"exit.{part}"] = wide(tensors, f"embedding.dense.{part}")
    student.load_state_dict(state, strict=False)
    places = {one["name"]: (one["from"], one["to"]) for one in header["ngrams"]["heads"]}
    weight = tensors["ngrams.table"].astype(np.float32) * tensors["ngrams.scale"]
    return header, student.eval(), Table(weight, tensors["ngrams.bias"], places)
