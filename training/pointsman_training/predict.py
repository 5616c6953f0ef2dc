"""What a student says of whole texts: windows joined as FORMAT.md tells."""

import random
from dataclasses import dataclass, field

import numpy as np
import torch

from .examples import Example, batches, both, collate
from .labels import MAX_WINDOW, NEGATIVE, PII_TAGS, TEXT_HEADS
from .model import Student
from .rows import Row
from .tokens import Pieces, pieces, windows


@dataclass
class Answers:
    """Logits of every head for each text, tag logits for each piece, embeddings."""

    logits: dict[str, np.ndarray]
    tags: list[np.ndarray]
    vectors: np.ndarray
    pieces: list[Pieces] = field(default_factory=list)


def suspicion(logits: np.ndarray, head: str) -> np.ndarray:
    """How much a window speaks against the negative label (all labels, where there is none)."""
    if head not in NEGATIVE:
        return logits.max(1)
    at = TEXT_HEADS[head].index(NEGATIVE[head])
    rest = np.delete(logits, at, axis=1)
    return np.logaddexp.reduce(rest, axis=1) - logits[:, at]


def join(parts: np.ndarray, sizes: np.ndarray, head: str) -> np.ndarray:
    """One answer of the windows' answers."""
    if head in MAX_WINDOW:
        return parts[suspicion(parts, head).argmax()]
    return (parts * sizes[:, None]).sum(0) / max(sizes.sum(), 1)


def join_tags(parts: list[np.ndarray], spans: list[tuple[int, int]], length: int) -> np.ndarray:
    """Tag logits of each piece from the window in whose middle it lies."""
    out = np.zeros((length, len(PII_TAGS)), np.float32)
    best = np.full(length, -1)
    for part, (start, end) in zip(parts, spans, strict=True):
        at = np.arange(start, end)
        far = np.minimum(at - start, end - 1 - at)
        better = far > best[at]
        out[at[better]], best[at[better]] = part[better], far[better]
    return out


def answers(student: Student, texts: list[str], want_tags: bool = True) -> Answers:
    """Runs the student over texts of any length."""
    found = pieces(texts)
    examples, owners, spans = [], [], []
    for owner, (text, one) in enumerate(zip(texts, found, strict=True)):
        row = Row(text, "", "", "")
        for start, end in windows(len(one.ids)):
            part = slice(start, end)
            examples.append(Example(row, one.ids[part], one.cases[part], None, len(examples)))
            owners.append(owner)
            spans.append((start, end))
    raw = {head: np.zeros((len(examples), len(ls)), np.float32) for head, ls in TEXT_HEADS.items()}
    tags: list[np.ndarray | None] = [None] * len(examples)
    vectors = np.zeros((len(examples), 384), np.float32)
    with torch.no_grad():
        for group in batches(list(examples), random.Random(0), 8192):
            batch = collate(group)
            x = student.hidden(batch.ids, batch.cases, batch.real)
            at = batch.vectors.numpy()
            for head in TEXT_HEADS:
                raw[head][at] = student.heads[head](x, batch.real).numpy()
            vectors[at] = student.embed(x, batch.real).numpy()
            if want_tags:
                all_tags = student.pii(x).numpy()
                for line, one in enumerate(group):
                    tags[one.vector] = all_tags[line, 1 : len(one.ids) + 1]
    return gather(found, raw, tags, vectors, np.array(owners), spans, want_tags)


def gather(
    found: list[Pieces],
    raw: dict[str, np.ndarray],
    tags: list,
    vectors: np.ndarray,
    owners: np.ndarray,
    spans: list[tuple[int, int]],
    want_tags: bool,
) -> Answers:
    """Joins the windows of each text."""
    count = len(found)
    sizes = np.array([end - start for start, end in spans])
    first = np.searchsorted(owners, np.arange(count + 1))
    out = Answers(
        {h: np.zeros((count, v.shape[1]), np.float32) for h, v in raw.items()},
        [],
        np.zeros((count, 384), np.float32),
        found,
    )
    for one in range(count):
        part = slice(first[one], first[one + 1])
        for head, values in raw.items():
            out.logits[head][one] = join(values[part], sizes[part], head)
        mixed = (vectors[part] * sizes[part, None]).sum(0)
        out.vectors[one] = mixed / max(np.linalg.norm(mixed), 1e-9)
        if want_tags:
            out.tags.append(join_tags(tags[part], spans[part], len(found[one].ids)))
    return out


def pairs(student: Student, rows: list[Row]) -> np.ndarray:
    """Logits of the pair head for rows of two questions."""
    firsts, seconds = pieces([row.text for row in rows]), pieces([row.pair for row in rows])
    examples = [both(*three) for three in zip(rows, firsts, seconds, strict=True)]
    for at, one in enumerate(examples):
        one.vector = at
    out = np.zeros((len(rows), 2), np.float32)
    with torch.no_grad():
        for group in batches(examples, random.Random(0), 8192):
            batch = collate(group)
            x = student.hidden(batch.ids, batch.cases, batch.real)
            out[batch.vectors.numpy()] = student.heads["pair"](x, batch.real).numpy()
    return out
