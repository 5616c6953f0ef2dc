"""How the guard stands harmless changes and texts of one length."""

import random
from typing import Any

import numpy as np

from .augment import typos
from .calibrate import apply
from .figures import Figure
from .first_stage import Table
from .joint import joined
from .metrics import auc
from .model import Student
from .predict import answers
from .rows import Row

# Not the words that training adds.
BEFORE = [
    "Greetings, ", "If you don't mind, ", "I was wondering, ", "As discussed, ", "Morning! ",
    "Yo, ", "My colleague asks: ", "Dear team, ", "Kindly, ", "It would be lovely if you could help. ",
]  # fmt: skip
AFTER = [
    " Much obliged.", " Ta!", " Looking forward to your reply.", " Let me know.", " Cheers mate",
    " Sunny weather today.", " banana bread", " Regards, Alex", " Muchas gracias.", " No rush.",
]  # fmt: skip


def judge(head: dict[str, Any], student: Student, table: Table, texts: list[str]) -> np.ndarray:
    """Chances of an attack, both stages joined."""
    said = answers(student, texts, want_tags=False).logits
    return apply(head["calibration"], joined(head, said, table.read(texts)))[:, 0]


def flips(head: dict[str, Any], student: Student, table: Table, found: list[Row]) -> Figure:
    """Share of detections that a harmless change undoes; three changes each."""
    draw = random.Random(17)
    some = draw.sample(found, min(400, len(found)))
    changed = []
    for row in some:
        before, after = draw.choice(BEFORE) + row.text, row.text + draw.choice(AFTER)
        changed += [before, after, typos(row.text, draw)]
    limit = next(one["threshold"] for one in head["points"] if one["name"] == "fpr_1pct")
    lost = judge(head, student, table, changed).reshape(-1, 3) < limit
    low, high = float(lost.mean(0).min()), float(lost.mean(0).max())
    name = "detections flipped (bounds: best and worst change)"
    return Figure("jailbreak", name, "joined", len(changed), float(lost.mean()), low, high)


def length_matched(rows: list[Row], value: np.ndarray, positive: np.ndarray) -> Figure:
    """AUC over pairs of about the same length."""
    draw = random.Random(19)
    sizes = np.array([len(row.text) for row in rows])
    harmless = np.nonzero(~positive)[0]
    harmless = harmless[np.argsort(sizes[harmless], kind="stable")]
    ordered, wins = sizes[harmless], []
    for at in np.nonzero(positive)[0]:
        first, last = np.searchsorted(ordered, [sizes[at] * 0.9, sizes[at] * 1.1 + 1])
        for _ in range(5 if last > first else 0):
            other = value[harmless[draw.randrange(first, last)]]
            wins.append(1.0 if value[at] > other else 0.5 if value[at] == other else 0.0)
    matched, plain = float(np.mean(wins)), auc(value, positive)
    return Figure(
        "jailbreak",
        "AUC of pairs of one length (bounds: it, and the plain AUC)",
        "joined",
        len(wins),
        matched,
        matched,
        plain,
    )
