"""From tags to spans, as `crates/semantics/src/classify/spans.rs` makes them, and how good they are."""

import numpy as np

from .labels import PII_TAGS, PII_TYPES
from .tokens import Pieces

Span = tuple[int, int, str]
BEGINS = np.array([PII_TAGS.index(f"B-{kind}") for kind in PII_TYPES])


def within_word(text: str, place: int) -> bool:
    """Whether the text goes on with the same word at `place`."""
    return 0 < place < len(text) and text[place - 1].isalnum() and text[place].isalnum()


def word_start(text: str, place: int, least: int) -> int:
    """The beginning of the word at `place`, not before `least`."""
    while place > least and within_word(text, place):
        place -= 1
    return place


def likeliest(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each piece: its kind, how likely, and whether it begins one."""
    grown = np.exp(logits - logits.max(1, keepdims=True))
    chance = grown / grown.sum(1, keepdims=True)
    begins, inside = chance[:, BEGINS], chance[:, BEGINS + 1]
    kind = (begins + inside).argmax(1)
    at = np.arange(len(kind))
    return kind, (begins + inside)[at, kind], begins[at, kind] > inside[at, kind]


def decode(text: str, logits: np.ndarray, found: Pieces, threshold: float) -> list[Span]:
    """Spans whose pieces are of a kind with at least `threshold`."""
    spans: list[list] = []
    if not len(logits):
        return []
    opened = False
    for kind, chance, begins, start, end in zip(
        *likeliest(logits), found.start, found.end, strict=True
    ):
        joins = bool(spans) and spans[-1][1] == start and within_word(text, int(start))
        if chance < threshold:
            if opened and joins:
                spans[-1][1] = int(end)
            else:
                opened = False
        elif spans and opened and spans[-1][2] == kind and (not begins or joins):
            spans[-1][1] = max(spans[-1][1], int(end))
        else:
            least = spans[-1][1] if spans else 0
            spans.append([word_start(text, int(start), least), int(end), kind])
            opened = True
    return [(a, b, PII_TYPES[kind]) for a, b, kind in spans]


def counts(said: list[list[Span]], true: list[list[Span]]) -> np.ndarray:
    """For each text: spans found exactly, spans said, spans there."""
    return np.array(
        [(len(set(a) & set(b)), len(a), len(b)) for a, b in zip(said, true, strict=True)], float
    ).reshape(-1, 3)


def f_beta(total: np.ndarray, beta: float = 2.0) -> float:
    """F of sums of `counts`; F2 counts a miss more than a false find."""
    hits, said, true = total.sum(0)
    if not hits:
        return 0.0
    precision, recall = hits / said, hits / true
    return float((1 + beta**2) * precision * recall / (beta**2 * precision + recall))
