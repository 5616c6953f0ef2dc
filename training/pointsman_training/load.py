"""Builds the student and the first stage back from a file of weights, to measure what ships."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import container
from .export import BLOCK, NORMS
from .first_stage import Table
from .model import Encoder, Student
from .quantize import quantized

Parts = dict[str, np.ndarray]


def wide(parts: Parts, name: str) -> torch.Tensor:
    """A part as f32."""
    value = parts[name]
    if value.dtype == np.int8:
        value = value.astype(np.float32) * parts[f"{name}.scale"][:, None]
    return torch.from_numpy(value.copy())


def linear(parts: Parts, state: dict[str, torch.Tensor], mine: str, name: str) -> None:
    """A linear layer's weights and bias."""
    state[f"{mine}.weight"] = wide(parts, name)
    state[f"{mine}.bias"] = wide(parts, f"{name}.bias")


def encoder(settings: dict[str, Any], parts: Parts) -> Encoder:
    """The encoder, still in f32; its values come back unchanged when it is quantized again."""
    shape = settings["encoder"]
    made = Encoder(shape["blocks"], shape["positions"])
    state = {
        "words.weight": wide(parts, "words"),
        "positions.weight": wide(parts, "positions"),
        "norm.weight": wide(parts, "words.norm.weight"),
        "norm.bias": wide(parts, "words.norm.bias"),
    }
    for at in range(shape["blocks"]):
        for mine, name in BLOCK.items():
            linear(parts, state, f"layers.{at}.{mine}", f"block.{at}.{name}")
        for mine, name in NORMS.items():
            for part in ("weight", "bias"):
                state[f"layers.{at}.{mine}.{part}"] = wide(parts, f"block.{at}.{name}.{part}")
    made.load_state_dict(state)
    return made


def load(path: Path) -> tuple[dict[str, Any], Student, Table]:
    """Settings, student and first stage, as int8 computes them."""
    settings, parts = container.read(path)
    student = Student(encoder(settings, parts))
    state: dict[str, torch.Tensor] = {}
    for one in settings["heads"]:
        for layer, _ in one["layers"]:
            linear(parts, state, layer, layer)
        if "joint" in one:
            name = one["joint"]["layer"]
            one["joint"] |= {"weight": parts[name], "bias": parts[f"{name}.bias"]}
    linear(parts, state, "pii", "heads.pii.out")
    student.load_state_dict(state, strict=False)
    weight = parts["ngrams"].astype(np.float32) * parts["ngrams.scale"]
    return settings, quantized(student).eval(), Table(weight, parts["ngrams.bias"])
