"""How the guard does on kinds of attack that it never saw: each kind is left out of training once, several at a time."""

import argparse
import pickle
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from . import first_stage
from .figures import Figure, figure
from .first_stage import places
from .generate.disguise import WAYS
from .metrics import auc, recall_at
from .predict import answers
from .quantize import quantized
from .rows import Row, jailbreak_rows
from .train import Plan, Run, train

KINDS: dict[str, tuple[str, ...]] = {
    "payload splitting": ("pl-payload_splitting", "own-split", "made-split"),
    "token smuggling": (
        "pl-token_smuggling", "enc-", "trustllm-leetspeak", "trustllm-url_encode", "made-mask",
        *(f"made-{way.replace(' ', '-')}" for way in WAYS),
    ),
    "hypothetical": ("pl-hypothetical", "own-hypothetical", "trustllm-scenario", "made-hypo"),
    "few-shot": ("pl-few_shot", "pl-many_shot", "made-few_shot"),
    "persuasion": ("pl-persuasion", "own-authority", "own-urgent", "bipia-persuasion", "made-pers"),
    "role-play": (
        "itw", "gptfuzz", "dan", "own-persona", "own-game", "pl-virtualization", "made-role_play",
        "made-virtualization",
    ),
    "planted": ("own-indirect", "bipia-", "made-planted"),
    "direct override": ("own-override", "own-padded", "own-pivot", "pl-ignore", "made-direct"),
}  # fmt: skip


TOGETHER = (
    ("payload splitting", "hypothetical", "few-shot", "persuasion"),
    ("token smuggling", "role-play", "planted", "direct override"),
)
"""Kinds that one training does without: harder than to miss one kind alone, and fewer trainings."""
TESTED, HARMLESS, OTHERS = 400, 2000, 9000
"""At most so many rows of a kind, and of harmless ones, are measured; so many rows of no attack set are learned."""


def attack(row: Row) -> bool:
    """Whether the guard should speak."""
    return row.targets.get("jailbreak", [0.0])[0] == 1.0


def of_kind(row: Row, kind: str) -> bool:
    """Whether a row is an attack of this kind."""
    return attack(row) and row.family.startswith(KINDS[kind])


def some(rows: list[Row], count: int) -> list[Row]:
    """So many of them, the same ones every time."""
    return rows if len(rows) <= count else random.Random(23).sample(rows, count)


def lesson_without(kinds: tuple[str, ...], rows: list[Row]) -> list[Row]:
    """What the guard may learn from: attacks of other kinds, what only looks like one, a part of the rest."""
    known = [row for row in rows if "jailbreak" in row.targets and not row.pair]
    kept = [row for row in known if not any(of_kind(row, kind) for kind in kinds)]
    guard = [row for row in kept if "domain" not in row.targets]
    guard += some([row for row in kept if "domain" in row.targets], OTHERS)
    only = ("jailbreak", "harmful")
    return [
        replace(row, targets={h: row.targets[h] for h in only if h in row.targets}, spans=None)
        for row in guard
    ]


def judged(head: str, value: np.ndarray, truth: np.ndarray, stage: str) -> list[Figure]:
    """AUC and recall of one kind."""
    area = figure(head, "AUC", stage, lambda i: auc(value[i], truth[i]), len(value))
    caught = lambda i: recall_at(value[i], truth[i], 0.01)
    return [area, figure(head, "recall at 1 % false positives", stage, caught, len(value))]


def without(
    kinds: tuple[str, ...], ready: dict, public: list[Row], harmless: list[Row], work: Path,
    minutes: float,
) -> list[Figure]:  # fmt: skip
    """Trains without these kinds, and measures each on its rows against harmless ones."""
    rows = lesson_without(kinds, ready["train"])
    table = first_stage.train(rows, first_stage.matrix(row.text for row in rows))
    tested = {kind: some([row for row in public if of_kind(row, kind)], TESTED) for kind in kinds}
    texts = [row.text for row in harmless]
    texts += [row.text for kind in kinds for row in tested[kind]]
    said = {"n-grams": table.read(texts)[:, places()["jailbreak"][0]]}
    if minutes:
        out = work / f"without-{kinds[0].replace(' ', '-')}.pt"
        student = quantized(
            train(Run(Plan(minutes, 3e-4, out)), rows, table, ({}, ready["teacher"][1]))
        )
        own = answers(student, texts, want_tags=False).logits["jailbreak"][:, 0]
        said |= {"encoder": own, "sum": own + 0.5 * said["n-grams"]}
    found, at = [], len(harmless)
    for kind in kinds:
        here = np.r_[0 : len(harmless), at : at + len(tested[kind])]
        truth = np.arange(len(here)) >= len(harmless)
        for stage, value in said.items():
            found += judged(kind, value[here], truth, stage)
        at += len(tested[kind])
    return found


def main() -> None:
    """Prints a table; with --minutes also for students trained so long."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--groups", nargs="*", type=int, default=list(range(len(TOGETHER))))
    given = parser.parse_args()
    torch.set_num_threads(1)
    with (given.work / "rows.pickle").open("rb") as file:
        ready = pickle.load(file)
    dev = list(jailbreak_rows(given.data, "dev"))
    public = dev + list(jailbreak_rows(given.data, "train"))
    harmless = some([row for row in dev if not attack(row)], HARMLESS)
    for group in given.groups:
        for one in without(TOGETHER[group], ready, public, harmless, given.work, given.minutes):
            print(one.line(), flush=True)


if __name__ == "__main__":
    main()
