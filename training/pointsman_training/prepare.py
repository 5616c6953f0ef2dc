"""Gathers rows, trains the first stage, asks the teacher: all that the student's training needs."""

import argparse
import pickle
import time
from pathlib import Path

import numpy as np
import torch

from . import first_stage
from .generate import pairs
from .generate.attacks import attack_rows
from .generate.pii import pii_rows
from .generate.prompts import prompt_rows
from .rows import Row, merge, pair_rows, read, read_all
from .split import divide
from .teacher import embeddings

TAUGHT = 50_000
"""How many texts the teacher embeds."""


def gather(data: Path) -> tuple[list[Row], list[Row]]:
    """Training and validation rows of all sources, those of our own making included."""
    rows = read_all(data, "train") + attack_rows() + pii_rows() + prompt_rows()
    rows += [*pair_rows(data, "train"), *pairs.pair_rows()]
    train, held = divide(rows)
    return merge(train), merge(held)


def taught(data: Path, rows: list[Row]) -> list[str]:
    """Texts for the teacher: both sides of the pairs first, then short ones of all kinds."""
    wanted: dict[str, None] = {}
    for pair in read(data / "pairs" / "train.jsonl.gz"):
        wanted[pair["a"]] = wanted[pair["b"]] = None
    draw = np.random.default_rng(3)
    for at in draw.permutation(len(rows)):
        if len(wanted) >= TAUGHT:
            break
        if len(rows[at].text) < 400:
            wanted[rows[at].text] = None
    return list(wanted)


def main() -> None:
    """Writes `rows.pickle` and `table.pickle` into the work folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--vectors", type=Path, help="rows.pickle whose teacher's vectors serve")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.work.mkdir(parents=True, exist_ok=True)
    train, held = gather(given.data)
    single = [row for row in train if not row.pair]
    print("rows", len(train), "validation", len(held), flush=True)
    features = first_stage.matrix(row.text for row in single)
    print("features", features.nnz, "seconds", time.process_time(), flush=True)
    table = first_stage.train(single, features)
    with (given.work / "table.pickle").open("wb") as file:
        pickle.dump(table, file)
    print("first stage, seconds", time.process_time(), flush=True)
    if given.vectors:
        with given.vectors.open("rb") as file:
            teacher = pickle.load(file)["teacher"]
        texts = list(teacher[0])
    else:
        texts = taught(given.data, single)
        teacher = embeddings(texts)
    known = {row.text for row in single}
    extra = [Row(text, "pairs", "pairs", text) for text in texts if text not in known]
    with (given.work / "rows.pickle").open("wb") as file:
        pickle.dump({"train": train + extra, "validation": held, "teacher": teacher}, file)
    print("teacher", len(texts), "seconds", time.process_time(), flush=True)


if __name__ == "__main__":
    main()
