"""Answers of a container for fixed texts, for another implementation to agree with."""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from .calibrate import apply
from .first_stage import places
from .fixtures import TEXTS
from .joint import joined
from .load import load
from .predict import answers


def rounded(value: np.ndarray) -> list:
    """Numbers short enough for a file."""
    return [round(float(one), 5) for one in value]


def of_understand(path: Path) -> list[dict]:
    """Logits of both stages, joined probabilities, tags and the first numbers of embeddings."""
    settings, student, table = load(path)
    said, first, found = answers(student, TEXTS), table.read(TEXTS), []
    about = {one["name"]: one for one in settings["heads"]}
    for at, text in enumerate(TEXTS):
        heads = {}
        for head, (start, end) in places().items():
            raw = first[at, start:end]
            heads[head] = {"ngrams": rounded(raw)}
            if head in about:
                own = said.logits[head][at]
                both = joined(about[head], said.logits, first)[at]
                heads[head]["encoder"] = rounded(own)
                chance = apply(about[head]["calibration"], both[None])[0]
                heads[head]["joined"] = rounded(chance)
        tags = said.tags[at].argmax(1).tolist()
        vector = rounded(said.vectors[at][:16])
        found.append({"text": text, "heads": heads, "tags": tags, "embedding": vector})
    return found


def main() -> None:
    """Writes `X.golden.json` beside a container."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("model", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    text = json.dumps(of_understand(given.model), ensure_ascii=False, separators=(",", ":"))
    given.model.with_suffix(".golden.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
