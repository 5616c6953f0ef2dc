"""Gathers rows, trains the first stage, asks the teacher: all that the student's training needs."""

import argparse
import pickle
import time
from pathlib import Path

import numpy as np
import torch

from . import first_stage
from .gather import gather
from .rows import Row
from .teacher import embeddings

TAUGHT = 75_000
"""How many texts the teacher embeds."""


def taught(rows: list[Row]) -> list[str]:
    """Texts for the teacher: both sides of the pairs first, then short ones of all kinds."""
    wanted: dict[str, None] = {}
    for row in rows:
        if row.pair:
            wanted[row.text] = wanted[row.pair] = None
    single = [row.text for row in rows if not row.pair and len(row.text) < 400]
    draw = np.random.default_rng(3)
    for at in draw.permutation(len(single)):
        if len(wanted) >= TAUGHT:
            break
        wanted[single[at]] = None
    return list(wanted)


def lessons(texts: list[str], kept: Path | None) -> tuple[dict[str, int], np.ndarray]:
    """The teacher's vectors; those that an earlier `prepare` has need not be asked for again."""
    if kept is None:
        return embeddings(texts)
    with kept.open("rb") as file:
        places, vectors = pickle.load(file)["teacher"]
    new, more = embeddings(text for text in texts if text not in places)
    joined = places | {text: len(places) + at for text, at in new.items()}
    return joined, np.concatenate([vectors, more])


def keep(path: Path, what: object) -> None:
    """Writes a file that is whole or not there."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        pickle.dump(what, file)
    fresh.replace(path)


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
    keep(given.work / "table.pickle", table)
    print("first stage, seconds", time.process_time(), flush=True)
    teacher = lessons(taught(train), given.vectors)
    kept = {"train": train, "validation": held, "teacher": teacher}
    keep(given.work / "rows.pickle", kept)
    print("teacher", len(teacher[0]), "seconds", time.process_time(), flush=True)


if __name__ == "__main__":
    main()
