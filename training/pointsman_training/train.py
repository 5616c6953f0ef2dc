"""Fine-tunes the student on all tasks at once, within a budget of CPU time."""

import argparse
import math
import pickle
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from .examples import Batch, collate, epoch
from .first_stage import Table, matrix
from .labels import SIGMOID
from .model import Student, from_base
from .rows import Row

WEIGHTS = {
    "domain": 1.0, "jailbreak": 1.5, "harmful": 1.0, "hazards": 0.5, "difficulty": 0.6,
    "fact_check": 0.5, "feedback": 0.5, "modality": 0.4,
}  # fmt: skip
ROWS, TOKENS = 64.0, 512.0
"""Losses are sums over a usual batch's rows or tokens, so that a row counts the same everywhere."""


def loss_of(student: Student, batch: Batch, vectors: torch.Tensor) -> dict[str, torch.Tensor]:
    """The loss of each head."""
    x = student.hidden(batch.ids, batch.cases, batch.real)
    losses = {}
    for head, (known, said) in batch.targets.items():
        logits = student.heads[head](x[known], batch.real[known])
        if head in SIGMOID:
            each = functional.binary_cross_entropy_with_logits(logits, said, reduction="none")
            each = each.mean(1) * 4
        else:
            each = -(said * functional.log_softmax(logits, 1)).sum(1)
        losses[head] = WEIGHTS[head] * (each * batch.weight[known]).sum() / ROWS
    asked = batch.tags >= 0
    if asked.any():
        logits = student.pii(x[asked])
        losses["pii"] = functional.cross_entropy(logits, batch.tags[asked], reduction="sum")
        losses["pii"] = 2 * losses["pii"] / TOKENS
    known = torch.nonzero(batch.vectors >= 0)[:, 0]
    if len(known):
        mine = functional.normalize(student.embed(x[known], batch.real[known]), dim=1)
        theirs = vectors[batch.vectors[known]].float()
        far = (1 - (mine * theirs).sum(1)).sum() / ROWS
        apart = functional.mse_loss(mine @ mine.T, theirs @ theirs.T, reduction="sum")
        losses["embedding"] = 2 * far + 4 * apart / (ROWS * len(known))
    return losses


def groups(student: Student, rate: float) -> list[dict]:
    """Slow for the word table, usual for the trunk, fast for what is new."""
    words, trunk, new = [], [], []
    for name, value in student.named_parameters():
        if name.startswith("trunk.words"):
            words.append(value)
        elif name.startswith("trunk.") and "cases" not in name:
            trunk.append(value)
        else:
            new.append(value)
    return [
        {"params": words, "lr": rate, "top": rate, "weight_decay": 0.0},
        {"params": trunk, "lr": rate, "top": rate, "weight_decay": 0.01},
        {"params": new, "lr": 4 * rate, "top": 4 * rate, "weight_decay": 0.01},
    ]


def suspicion(table: Table):
    """Which part of a long text looks most like an attack to the first stage."""

    def score(text: str) -> float:
        raw = table.logits(matrix([text]), "jailbreak")[0]
        return float(np.logaddexp(raw[1], raw[2]) - raw[0])

    return score


def train(
    rows: list[Row],
    table: Table,
    teacher: tuple[dict[str, int], np.ndarray],
    minutes: float,
    rate: float,
    out: Path,
    seed: int = 1,
) -> Student:
    """Trains until `minutes` of CPU time are spent; the rate falls with the time spent."""
    torch.manual_seed(seed)
    student = Student(from_base([0, 1, 2], 128)).train()
    optimizer = torch.optim.AdamW(groups(student, rate), betas=(0.9, 0.98), fused=True)
    places, vectors = teacher[0], torch.from_numpy(teacher[1])
    began, step, number, seen = time.process_time(), 0, 0, 0
    mean: dict[str, float] = {}
    while True:
        for examples in epoch(rows, suspicion(table), places, seed * 1000 + number):
            spent = (time.process_time() - began) / 60 / minutes
            if spent >= 1:
                torch.save(student.state_dict(), out)
                return student.eval()
            scale = min(1.0, (step + 1) / 150) * 0.5 * (1 + math.cos(math.pi * min(spent, 1)))
            for group in optimizer.param_groups:
                group["lr"] = group["top"] * (0.02 + 0.98 * scale)
            batch = collate(examples)
            with torch.autocast("cpu", torch.bfloat16):
                losses = loss_of(student, batch, vectors)
            total = sum(losses.values())
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), 5.0)
            optimizer.step()
            step, seen = step + 1, seen + len(examples)
            for head, value in losses.items():
                mean[head] = 0.98 * mean.get(head, float(value.detach())) + 0.02 * float(value.detach())
            if step % 50 == 0:
                shown = " ".join(f"{head} {value:.3f}" for head, value in sorted(mean.items()))
                print(f"{spent:.3f} epoch {number} step {step} rows {seen} {shown}", flush=True)
            if step % 200 == 0:
                torch.save(student.state_dict(), out)
        number += 1


def main() -> None:
    """Reads what `prepare` left and trains."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("work", type=Path, help="folder of prepared rows, table and vectors")
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with (given.work / "rows.pickle").open("rb") as file:
        ready = pickle.load(file)
    with (given.work / "table.pickle").open("rb") as file:
        table = pickle.load(file)
    out = given.work / "student.pt"
    train(ready["train"], table, ready["teacher"], given.minutes, given.rate, out)


if __name__ == "__main__":
    main()
