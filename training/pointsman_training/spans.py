"""From tags to spans, as `crates/semantics/src/classify/spans.rs` makes them, and how good they are."""

import numpy as np

from .labels import PII_TAGS, PII_TYPES
from .tokens import Pieces

Span = tuple[int, int, str]
BEGINS = np.array([PII_TAGS.index(f"B-{kind}") for kind in PII_TYPES])


PARTING = "()[]{}<>\"',;=|（）：、。「」"
"""Signs that part what stands before them from what stands behind."""
OUTSIDE, LATIN, UNPARTED = 0.3, "\u0250", "\u0e00"
"""Below the first a sign parts as well; letters before the second come in words of several pieces; scripts from the
third on do without blanks, or hang endings on names."""


def within_word(text: str, place: int) -> bool:
    """Whether the text goes on with the same word at `place`."""
    if not 0 < place < len(text):
        return False
    before, behind = text[place - 1], text[place]
    return max(before, behind) < UNPARTED and before.isalnum() and behind.isalnum()


def word_start(text: str, place: int, least: int) -> int:
    """The beginning of the word at `place`, not before `least`."""
    while place > least and within_word(text, place):
        place -= 1
    return place


def says_something(part: str) -> bool:
    """Whether there is a letter or a digit."""
    return any(one.isalnum() for one in part)


def runs(text: str, found: Pieces, likely: np.ndarray) -> list[list[int]]:
    """Pieces that are judged as one: they stand close together, and no sign parts them."""
    out: list[list[int]] = []
    closed = True
    for at, (start, end) in enumerate(zip(found.start, found.end, strict=True)):
        part = text[start:end]
        parts = not says_something(part) and (likely[at].max() < OUTSIDE or part in PARTING)
        close = at > 0 and found.end[at - 1] == start and max(text[start - 1], text[start]) < LATIN
        if close and not parts and not closed:
            out[-1].append(at)
        else:
            out.append([at])
        closed = parts
    return out


def likeliest(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each piece: how likely each kind is, and whether it would begin one."""
    grown = np.exp(logits - logits.max(1, keepdims=True))
    chance = grown / grown.sum(1, keepdims=True)
    begins, inside = chance[:, BEGINS], chance[:, BEGINS + 1]
    return begins + inside, begins > inside


def decode(text: str, logits: np.ndarray, found: Pieces, threshold: float) -> list[Span]:
    """Spans whose pieces are of a kind with at least `threshold`."""
    spans: list[list] = []
    if not len(logits):
        return []
    opened, (likely, begin) = False, likeliest(logits)
    for run in runs(text, found, likely):
        start, end = int(found.start[run[0]]), int(found.end[run[-1]])
        mean = likely[run].mean(0)
        kind = int(mean.argmax())
        joins = bool(spans) and spans[-1][1] == start and within_word(text, start)
        if mean[kind] < threshold:
            if opened and joins:
                spans[-1][1] = end
            else:
                opened = False
        elif spans and opened and spans[-1][2] == kind and (not begin[run[0], kind] or joins):
            spans[-1][1] = max(spans[-1][1], end)
        else:
            least = spans[-1][1] if spans else 0
            spans.append([word_start(text, start, least), end, kind])
            opened = True
    spans = [one for one in spans if says_something(text[one[0] : one[1]])]
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
