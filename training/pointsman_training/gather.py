"""Rows of all sources, those of our own making included, divided into training and validation."""

from pathlib import Path

from .generate import pairs
from .generate.attacks import attack_rows
from .generate.briefs import brief_rows
from .generate.cued import cued_rows
from .generate.few_shot import few_shot_rows
from .generate.near_misses import near_miss_rows
from .generate.pii import pii_rows
from .generate.prompts import prompt_rows
from .rows import Row, merge, pair_rows, read_all
from .split import divide


def gather(data: Path) -> tuple[list[Row], list[Row]]:
    """Training and validation rows of all sources, those of our own making included."""
    public = read_all(data, "train")
    rows = public + attack_rows() + pii_rows() + prompt_rows()
    rows += cued_rows() + few_shot_rows() + brief_rows(public)
    rows += [*pair_rows(data, "train"), *pairs.pair_rows(), *near_miss_rows(public)]
    train, held = divide(rows)
    return merge(train), merge(held)
