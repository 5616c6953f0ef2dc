"""Windows of rows as the student sees them, and batches of them."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .augment import change
from .labels import ALL_HEADS, PII_TAGS
from .rows import Row
from .tokens import END, START, Pieces, pieces, windows

TAG = {name: at for at, name in enumerate(PII_TAGS)}
IGNORE = -100
HALF = 62
"""Pieces of each of two questions."""


@dataclass
class Example:
    """One window of a row."""

    row: Row
    ids: np.ndarray
    tags: np.ndarray | None
    vector: int
    """Index of the teacher's embedding, or −1."""


def tags_of(row: Row, found: Pieces) -> np.ndarray | None:
    """BIO tags of all pieces."""
    if row.spans is None:
        return None
    tags = np.zeros(len(found.ids), np.int64)
    for start, end, kind in row.spans:
        here = np.nonzero((found.start < end) & (found.end > start))[0]
        tags[here] = TAG[f"I-{kind}"]
        if len(here):
            tags[here[0]] = TAG[f"B-{kind}"]
    return tags


def cut(row: Row, found: Pieces, part: tuple[int, int], vector: int) -> Example:
    """The example of one window."""
    at = slice(*part)
    tags = tags_of(row, found)
    return Example(row, found.ids[at], None if tags is None else tags[at], vector)


def choose(
    row: Row, found: Pieces, suspicion: Callable[[str], float], draw: random.Random
) -> tuple[int, int]:
    """A window to learn from: where an attack seems to be; half the time so for harmless texts."""
    parts = windows(len(found.ids))
    if len(parts) == 1:
        return parts[0]
    attack = row.targets.get("jailbreak", [0.0])[0] == 1.0
    if attack or ("jailbreak" in row.targets and draw.random() < 0.5):
        spans = [(found.start[a], found.end[b - 1]) for a, b in parts[:40]]
        return parts[int(np.argmax([suspicion(row.text[a:b]) for a, b in spans]))]
    return draw.choice(parts[:4])


def both(row: Row, a: Pieces, b: Pieces) -> Example:
    """Two questions with an end token between them, each cut where it is long."""
    ids = np.concatenate([a.ids[:HALF], [END], b.ids[:HALF]]).astype(np.int32)
    return Example(row, ids, None, -1)


def share(row: Row) -> float:
    """How often a row is seen in a pass: many rows of one make count less, rare kinds more."""
    if row.spans:
        return 1.4
    if row.kind.startswith("exam"):
        return 0.85
    if not row.targets and row.spans is None:
        return 0.4
    if set(row.targets) == {"difficulty"}:
        return 0.35
    if row.family.startswith("made-") and set(row.targets) == {"jailbreak"}:
        return 0.7
    return 1.0


def epoch(
    rows: list[Row],
    suspicion: Callable[[str], float],
    vectors: dict[str, int],
    seed: int,
    changed: float = 0.15,
) -> Iterator[list[Example]]:
    """Batches of about equal length in random order."""
    draw = random.Random(seed)
    order = [i for i, row in enumerate(rows) for _ in range(int(share(row) + draw.random()))]
    draw.shuffle(order)
    for start in range(0, len(order), 8192):
        some = [rows[i] for i in order[start : start + 8192]]
        texts = [
            change(row.text, draw)
            if not row.spans and not row.pair and len(row.text) > 3 and draw.random() < changed
            else row.text
            for row in some
        ]
        examples = []
        seconds = iter(pieces([row.pair for row in some if row.pair]))
        for row, text, found in zip(some, texts, pieces(texts), strict=True):
            if row.pair:
                examples.append(both(row, found, next(seconds)))
            elif len(found.ids):
                same = Row(text, row.source, row.family, row.group, row.targets, row.spans)
                same.weight = row.weight
                part = choose(same, found, suspicion, draw)
                whole = text == row.text and part == (0, len(found.ids))
                vector = vectors.get(row.text, -1) if whole else -1
                examples.append(cut(same, found, part, vector))
        yield from batches(examples, draw)


def batches(
    examples: list[Example], draw: random.Random, budget: int = 4096
) -> list[list[Example]]:
    """Groups by length, each about `budget` tokens with padding."""
    examples.sort(key=lambda one: (len(one.ids), draw.random()))
    found: list[list[Example]] = [[]]
    for one in examples:
        if (len(found[-1]) + 1) * (len(one.ids) + 2) > budget and found[-1]:
            found.append([])
        found[-1].append(one)
    draw.shuffle(found)
    return found


@dataclass
class Batch:
    """Tensors of a batch."""

    ids: Tensor
    real: Tensor
    tags: Tensor
    targets: dict[str, tuple[Tensor, Tensor]]
    weight: Tensor
    vectors: Tensor


def collate(examples: list[Example]) -> Batch:
    """Pads and joins."""
    length = max(len(one.ids) for one in examples) + 2
    ids = np.zeros((len(examples), length), np.int64)
    real = np.zeros(ids.shape, bool)
    tags = np.full(ids.shape, IGNORE)
    for at, one in enumerate(examples):
        last = len(one.ids) + 1
        ids[at, 0], ids[at, last], ids[at, 1:last] = START, END, one.ids
        real[at, : last + 1] = True
        if one.tags is not None:
            tags[at, 1:last] = one.tags
    targets = {}
    for head in ALL_HEADS:
        known = [at for at, one in enumerate(examples) if head in one.row.targets]
        if known:
            said = torch.tensor([examples[at].row.targets[head] for at in known])
            targets[head] = (torch.tensor(known), said)
    return Batch(
        torch.from_numpy(ids),
        torch.from_numpy(real),
        torch.from_numpy(tags),
        targets,
        torch.tensor([one.row.weight for one in examples]),
        torch.tensor([one.vector for one in examples]),
    )
