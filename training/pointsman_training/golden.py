"""Answers of a container for fixed texts, for another implementation to agree with."""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from . import container
from .calibrate import chances, mixed
from .examples import Example, collate
from .first_stage import matrix
from .fixtures import TEXTS
from .labels import TEXT_HEADS
from .load import encoder, load
from .model import mean
from .predict import answers, pairs
from .rows import Row, pair_row
from .tokens import pieces

PAIRS = [("Turn on the lights", "Turn off the lights"), ("What is DNA?", "Explain DNA.")]


def rounded(value: np.ndarray) -> list:
    """Numbers short enough for a file."""
    return [round(float(one), 5) for one in value]


def of_understand(path: Path) -> list[dict]:
    """Logits of both stages, joined probabilities, best tags and embeddings."""
    header, student, table = load(path)
    said, found = answers(student, TEXTS), []
    first = matrix(TEXTS)
    parts = {one["name"]: one["calibration"] for one in header["heads"]}
    for at, text in enumerate(TEXTS):
        heads = {}
        for head in TEXT_HEADS:
            raw = table.logits(first[at], head)[0]
            own = said.logits[head][at]
            joined = chances(mixed(parts[head]["joined"], own[None], raw[None]), head)[0]
            heads[head] = {"encoder": rounded(own), "ngrams": rounded(raw)}
            heads[head]["joined"] = rounded(joined)
        tags = said.tags[at].argmax(1).tolist()
        vector = rounded(said.vectors[at][:16])
        found.append({"text": text, "heads": heads, "tags": tags, "embedding": vector})
    logits = pairs(student, [pair_row(a, b, True, "", "") for a, b in PAIRS])
    for (a, b), one in zip(PAIRS, logits, strict=True):
        found.append({"a": a, "b": b, "pair": rounded(one)})
    return found


def of_embed(path: Path) -> list[dict]:
    """The first numbers of each embedding."""
    header, tensors = container.read(path)
    model, found = encoder(header, tensors), []
    for text, one in zip(TEXTS, pieces(TEXTS), strict=True):
        if not len(one.ids):
            continue
        cut = slice(0, header["encoder"]["positions"] - 2)
        batch = collate([Example(Row(text, "", "", ""), one.ids[cut], one.cases[cut], None, -1)])
        with torch.no_grad():
            vector = mean(model(batch.ids, None, batch.real), batch.real)[0].numpy()
        found.append({"text": text, "embedding": rounded(vector[:16] / np.linalg.norm(vector))})
    return found


def main() -> None:
    """Writes `X.golden.json` beside a container."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("model", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    kind = container.read(given.model)[0]["kind"]
    found = of_embed(given.model) if kind == "embed" else of_understand(given.model)
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    given.model.with_suffix(".golden.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
