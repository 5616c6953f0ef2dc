"""How the guard does on kinds of attack that it never saw: each kind left out of training once."""

import argparse
import pickle
from pathlib import Path

import numpy as np
import torch

from . import first_stage
from .figures import Figure, figure
from .first_stage import Table, places
from .generate.disguise import WAYS
from .metrics import auc, recall_at
from .model import Student
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


def attack(row: Row) -> bool:
    """Whether the guard should speak."""
    return row.targets.get("jailbreak", [0.0])[0] == 1.0


def of_kind(row: Row, kind: str) -> bool:
    """Whether a row is an attack of this kind."""
    return attack(row) and row.family.startswith(KINDS[kind])


def judged(head: str, value: np.ndarray, truth: np.ndarray, stage: str) -> list[Figure]:
    """AUC and recall of one kind."""
    area = figure(head, "AUC", stage, lambda i: auc(value[i], truth[i]), len(value))
    caught = lambda i: recall_at(value[i], truth[i], 0.01)
    return [area, figure(head, "recall at 1 % false positives", stage, caught, len(value))]


def without(kind: str, ready: dict, tested: list[Row], minutes: float, work: Path) -> list[Figure]:
    """Trains without a kind, and measures on its rows against all harmless ones."""
    rows = [row for row in ready["train"] if not of_kind(row, kind)]
    single = [row for row in rows if not row.pair]
    table = first_stage.train(single, first_stage.matrix(row.text for row in single))
    texts, truth = [row.text for row in tested], np.array([attack(row) for row in tested])
    value = table.read(texts)[:, places()["jailbreak"][0]]
    found = judged(kind, value, truth, "n-grams")
    if minutes:
        student = of_student(kind, rows, table, ready, minutes, work)
        own = answers(student, texts, want_tags=False).logits["jailbreak"][:, 0]
        found += judged(kind, own, truth, "encoder") + judged(kind, own + 0.5 * value, truth, "sum")
    return found


def of_student(
    kind: str, rows: list[Row], table: Table, ready: dict, minutes: float, work: Path
) -> Student:
    """A student that never saw the kind."""
    run = Run(Plan(minutes, 2e-4, work / f"without-{kind.replace(' ', '-')}.pt"))
    return quantized(train(run, rows, table, ready["teacher"]))


def main() -> None:
    """Prints a table; with --minutes also for students trained so long."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    with (given.work / "rows.pickle").open("rb") as file:
        ready = pickle.load(file)
    dev = list(jailbreak_rows(given.data, "dev"))
    public = dev + list(jailbreak_rows(given.data, "train"))
    for kind in given.kinds:
        mine = [row for row in public if of_kind(row, kind)]
        tested = mine + [row for row in dev if not attack(row)]
        for one in without(kind, ready, tested, given.minutes, given.work):
            print(one.line(), flush=True)


if __name__ == "__main__":
    main()
