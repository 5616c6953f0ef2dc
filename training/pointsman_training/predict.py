"""What a student says of whole texts: windows joined as the engine joins them."""

import random
from dataclasses import dataclass

import numpy as np
import torch

from .examples import Example, batches, both, collate
from .labels import PII_TAGS, SIGMOID, TEXT_HEADS
from .model import HIDDEN, Student, first_and_mean
from .rows import Row
from .tokens import Pieces, pieces, windows


@dataclass
class Answers:
    """Logits of every head for each text, tag logits for each piece, embeddings."""

    logits: dict[str, np.ndarray]
    tags: list[np.ndarray]
    vectors: np.ndarray
    pieces: list[Pieces]


@dataclass
class Windows:
    """All windows of all texts, with whose they are."""

    examples: list[Example]
    spans: list[tuple[int, int]]
    first: np.ndarray


def cut_all(texts: list[str], found: list[Pieces]) -> Windows:
    """Windows in the order of the texts."""
    examples, spans, first = [], [], [0]
    for text, one in zip(texts, found, strict=True):
        row = Row(text, "", "", "")
        for start, end in windows(len(one.ids)):
            examples.append(Example(row, one.ids[start:end], None, len(examples)))
            spans.append((start, end))
        first.append(len(examples))
    return Windows(examples, spans, np.array(first))


def join(parts: np.ndarray, sizes: np.ndarray, head: str) -> np.ndarray:
    """The highest logit of each label, or the mean by tokens."""
    if head in SIGMOID:
        return parts.max(0)
    sizes = np.maximum(sizes, 1)
    return (parts * sizes[:, None]).sum(0) / sizes.sum()


def join_tags(parts: list[np.ndarray], spans: list[tuple[int, int]], length: int) -> np.ndarray:
    """Tag logits of each piece from the window in whose middle it lies, the earlier one on a tie."""
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
    all_windows = cut_all(texts, found)
    count = len(all_windows.examples)
    raw = {head: np.zeros((count, len(ls)), np.float32) for head, ls in TEXT_HEADS.items()}
    tags: list = [None] * count
    vectors = np.zeros((count, HIDDEN), np.float32)
    with torch.no_grad():
        for group in batches(list(all_windows.examples), random.Random(0), 2048):
            batch = collate(group)
            x, at = student.hidden(batch.ids, batch.real), batch.vectors.numpy()
            read = first_and_mean(x, batch.real)
            for head in TEXT_HEADS:
                raw[head][at] = student.heads[head](read).numpy()
            vectors[at] = read[:, HIDDEN:].numpy()
            if want_tags:
                all_tags = student.pii(x).numpy()
                for line, one in enumerate(group):
                    tags[one.vector] = all_tags[line, 1 : len(one.ids) + 1]
    return gather(found, all_windows, raw, tags if want_tags else [], vectors)


def gather(
    found: list[Pieces],
    cut: Windows,
    raw: dict[str, np.ndarray],
    tags: list,
    vectors: np.ndarray,
) -> Answers:
    """Joins the windows of each text."""
    sizes = np.array([end - start for start, end in cut.spans])
    logits = {head: np.zeros((len(found), v.shape[1]), np.float32) for head, v in raw.items()}
    out = Answers(logits, [], np.zeros((len(found), HIDDEN), np.float32), found)
    for one in range(len(found)):
        part = slice(cut.first[one], cut.first[one + 1])
        for head, values in raw.items():
            logits[head][one] = join(values[part], sizes[part], head)
        mixed = (vectors[part] * np.maximum(sizes[part, None], 1)).sum(0)
        out.vectors[one] = mixed / max(np.linalg.norm(mixed), 1e-9)
        if tags:
            out.tags.append(join_tags(tags[part], cut.spans[part], len(found[one].ids)))
    return out


def pairs(student: Student, rows: list[Row]) -> np.ndarray:
    """Logits of the pair head for rows of two questions."""
    firsts, seconds = pieces([row.text for row in rows]), pieces([row.pair for row in rows])
    examples = [both(*three) for three in zip(rows, firsts, seconds, strict=True)]
    for at, one in enumerate(examples):
        one.vector = at
    out = np.zeros((len(rows), 1), np.float32)
    with torch.no_grad():
        for group in batches(examples, random.Random(0), 2048):
            batch = collate(group)
            x = student.hidden(batch.ids, batch.real)
            read = first_and_mean(x, batch.real)
            out[batch.vectors.numpy()] = student.heads["pair"](read).numpy()
    return out
