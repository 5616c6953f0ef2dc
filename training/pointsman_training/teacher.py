"""Embeddings of the six-layer base, which the student's exit learns to give."""

from collections.abc import Iterable

import numpy as np
import torch
from torch.nn import functional

from .examples import Example, batches, collate
from .model import from_base, mean
from .rows import Row
from .tokens import CONTENT, pieces

LAYERS = list(range(6))


def embeddings(texts: Iterable[str], longest: int = CONTENT) -> tuple[dict[str, int], np.ndarray]:
    """Unit vectors (f16) of all texts that have at most `longest` pieces."""
    import random

    base = from_base(LAYERS, 128).eval()
    wanted = sorted(set(texts))
    examples = []
    for text, found in zip(wanted, pieces(wanted), strict=True):
        if 0 < len(found.ids) <= longest:
            row = Row(text, "", "", "")
            examples.append(Example(row, found.ids, None, -1))
    places: dict[str, int] = {}
    vectors = np.zeros((len(examples), 384), np.float16)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for group in batches(examples, random.Random(0), 2048):
            batch = collate(group)
            states = base(batch.ids, batch.real).float()
            found = functional.normalize(mean(states, batch.real).float(), dim=1).numpy()
            for one, vector in zip(group, found, strict=True):
                places[one.row.text] = len(places)
                vectors[places[one.row.text]] = vector
    return places, vectors
