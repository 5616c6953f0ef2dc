"""What the engine made of texts: the files that `crates/semantics/examples/states.rs` writes."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import erf

from .labels import SIGMOID
from .ngrams import BITS

Parts = dict[str, np.ndarray]
SOME = 20_000
"""Windows that go through a head at once."""


def wide(parts: Parts, name: str) -> np.ndarray:
    """A linear layer's weights as f32, `[outputs, inputs]`."""
    return parts[name].astype(np.float32) * parts[f"{name}.scale"][:, None]


def gelu(x: np.ndarray) -> np.ndarray:
    """As the engine has it, by the error function."""
    return 0.5 * x * (1 + erf(x / np.sqrt(np.float32(2))))


@dataclass
class Seen:
    """Windows of texts, what heads read of them, and what the first stage says."""

    count: int
    """Texts."""
    sizes: np.ndarray
    """Tokens of each window."""
    bounds: np.ndarray
    """The first window of each text, and the end."""
    reads: np.ndarray
    """`[windows, 768]`."""
    first: dict[str, np.ndarray]
    """Logits of the first stage's heads."""
    buckets: csr_matrix
    """A row a stretch, as `first_stage.matrix` makes them."""
    stretches: np.ndarray
    """Text and bytes of each stretch."""

    def pool(self, raw: np.ndarray, head: str) -> np.ndarray:
        """Joins windows as the engine does."""
        starts = self.bounds[:-1]
        if head in SIGMOID:
            return np.maximum.reduceat(raw, starts, axis=0)
        weight = np.maximum(self.sizes, 1)[:, None]
        return np.add.reduceat(raw * weight, starts, axis=0) / np.add.reduceat(
            weight, starts, axis=0
        )

    def encoder(self, parts: Parts, head: str) -> np.ndarray:
        """Logits of an encoder's head for each text."""
        inner, outer = wide(parts, f"heads.{head}.dense").T, wide(parts, f"heads.{head}.out").T
        raw = []
        for at in range(0, len(self.reads), SOME):
            middle = gelu(self.reads[at : at + SOME] @ inner + parts[f"heads.{head}.dense.bias"])
            raw.append(middle @ outer + parts[f"heads.{head}.out.bias"])
        return self.pool(np.concatenate(raw), head)


def stretches(path: Path) -> tuple[csr_matrix, np.ndarray]:
    """Buckets of each stretch, by one over the square root of their number; whose it is, and its bytes."""
    flat = np.fromfile(path, np.uint32)
    at, index, start, whose = 0, [], [0], []
    while at < len(flat):
        text, size, count = (int(one) for one in flat[at : at + 3])
        index.append(np.sort(flat[at + 3 : at + 3 + count]).astype(np.int32))
        start.append(start[-1] + count)
        whose.append((text, max(size, 1)))
        at += 3 + count
    value = [np.full(len(one), 1 / max(np.sqrt(len(one)), 1.0), np.float32) for one in index]
    data = np.concatenate(value), np.concatenate(index), start
    return csr_matrix(data, shape=(len(index), 1 << BITS)), np.array(whose)


def read(folder: Path) -> Seen:
    """All files of a folder but the rows of single tokens."""
    windows = np.fromfile(folder / "windows.u32", np.uint32).reshape(-1, 3).astype(np.int64)
    heads = json.loads((folder / "heads.json").read_text())
    flat = np.fromfile(folder / "first.f32", np.float32).reshape(-1, sum(size for _, size in heads))
    first, at = {}, 0
    for head, size in heads:
        first[head] = flat[:, at : at + size]
        at += size
    bounds = np.searchsorted(windows[:, 0], np.arange(len(flat) + 1))
    reads = np.fromfile(folder / "windows.f32", np.float32).reshape(len(windows), -1)
    return Seen(
        len(flat), windows[:, 2], bounds, reads, first, *stretches(folder / "buckets.u32")
    )  # fmt: skip
