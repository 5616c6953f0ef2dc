"""From tags to spans, and how good the spans are."""

import numpy as np

from .labels import PII_TAGS
from .tokens import Pieces

Span = tuple[int, int, str]


def decode(logits: np.ndarray, found: Pieces, alpha: float = 1.0) -> list[tuple[Span, float]]:
    """Spans with their scores, as FORMAT.md tells."""
    if not len(logits):
        return []
    scaled = logits * alpha
    chance = np.exp(scaled - scaled.max(1, keepdims=True))
    chance /= chance.sum(1, keepdims=True)
    first = np.nonzero(found.first)[0]
    last = np.concatenate([first[1:], [len(found.ids)]]) - 1
    spans: list[list] = []
    open_kind = ""
    for at, end in zip(first, last, strict=True):
        tag = PII_TAGS[int(chance[at].argmax())]
        kind = tag[2:]
        if kind:
            begin = PII_TAGS.index(f"B-{kind}")
            score = float(chance[at, begin] + chance[at, begin + 1])
            if tag[0] == "B" or kind != open_kind:
                spans.append([int(found.start[at]), int(found.end[end]), kind, [score]])
            else:
                spans[-1][1] = int(found.end[end])
                spans[-1][3].append(score)
        open_kind = kind
    return [((a, b, kind), float(np.mean(scores))) for a, b, kind, scores in spans]


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
