"""Fine-tunes the student on all tasks at once, within a budget of CPU time."""

import argparse
import math
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from .examples import Batch, collate, epoch
from .first_stage import Table, matrix, places
from .labels import SIGMOID, UNKNOWN
from .model import HIDDEN, Student, first_and_mean, from_base
from .rows import Row

WEIGHTS = {
    "domain": 1.0, "jailbreak": 1.5, "harmful": 1.0, "difficulty": 0.6,
    "fact_check": 0.5, "pair": 1.0, "feedback": 0.5, "modality": 0.4,
}  # fmt: skip
ROWS, TOKENS, LATER = 64.0, 512.0, 0.3
"""Losses are sums over a usual batch's rows or tokens, so that a row counts the same everywhere; of labels
that hold each by itself the first is the question, the others tell of what kind."""


def head_loss(logits: torch.Tensor, said: torch.Tensor, head: str) -> torch.Tensor:
    """The loss of each row; labels that a row does not know count nothing."""
    if head not in SIGMOID:
        return -(said * functional.log_softmax(logits, 1)).sum(1)
    known = said != UNKNOWN
    each = functional.binary_cross_entropy_with_logits(logits, said.clamp_min(0), reduction="none")
    each = each * known
    return each[:, 0] + LATER * each[:, 1:].sum(1)


def loss_of(student: Student, batch: Batch, vectors: torch.Tensor) -> dict[str, torch.Tensor]:
    """The loss of each head."""
    x = student.hidden(batch.ids, batch.real)
    read, losses = first_and_mean(x, batch.real), {}
    for head, (known, said) in batch.targets.items():
        each = head_loss(student.heads[head](read[known]).float(), said, head)
        losses[head] = WEIGHTS[head] * (each * batch.weight[known]).sum() / ROWS
    asked = batch.tags >= 0
    if asked.any():
        logits = student.pii(x[asked]).float()
        losses["pii"] = functional.cross_entropy(logits, batch.tags[asked], reduction="sum")
        losses["pii"] = 4 * losses["pii"] / TOKENS
    known = torch.nonzero(batch.vectors >= 0)[:, 0]
    if len(known):
        mine = functional.normalize(read[known, HIDDEN:], dim=1)
        theirs = vectors[batch.vectors[known]].float()
        far = (1 - (mine * theirs).sum(1)).sum() / ROWS
        alike = mine.float() @ mine.float().T - theirs @ theirs.T
        losses["embedding"] = 2 * far + 4 * (alike**2).sum() / (ROWS * len(known))
    return losses


def groups(student: Student, rate: float) -> list[dict]:
    """The usual rate for the trunk, a faster one for what is new; the word table stays."""
    trunk, new = [], []
    for name, value in student.named_parameters():
        if name.startswith("trunk."):
            trunk.append(value)
        elif value.requires_grad:
            new.append(value)
    trunk = [value for value in trunk if value.requires_grad]
    return [
        {"params": trunk, "lr": rate, "top": rate, "weight_decay": 0.01},
        {"params": new, "lr": 4 * rate, "top": 4 * rate, "weight_decay": 0.01},
    ]


def suspicion(table: Table) -> Callable[[str], float]:
    """Which part of a long text looks most like an attack to the first stage."""
    at = places()["jailbreak"][0]

    def score(text: str) -> float:
        return float(table.logits(matrix([text]))[0, at])

    return score


@dataclass
class Plan:
    """What a run is given."""

    minutes: float
    rate: float
    out: Path
    seed: int = 1
    start: Path | None = None
    """A finished or stopped run whose weights this one begins with."""


class Run:
    """A training run that can stop at any time and go on later with the same steps."""

    def __init__(self, plan: Plan) -> None:
        torch.manual_seed(plan.seed)
        self.plan = plan
        self.student = Student(from_base([0, 1, 2], 128)).train()
        self.student.trunk.words.weight.requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            groups(self.student, plan.rate), betas=(0.9, 0.98), fused=True
        )
        self.step = self.epoch = self.batch = 0
        self.before = 0.0
        self.began = time.process_time()
        self.mean: dict[str, float] = {}
        if plan.out.exists():
            self.load()
        elif plan.start:
            kept = torch.load(plan.start, weights_only=False)
            self.student.load_state_dict(kept["student"])

    def spent(self) -> float:
        """Share of the budget that is used, over all sittings."""
        return (self.before + time.process_time() - self.began) / 60 / self.plan.minutes

    def load(self) -> None:
        """Goes on from the last save."""
        kept = torch.load(self.plan.out, weights_only=False)
        self.student.load_state_dict(kept["student"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.step, self.epoch, self.batch, self.before = kept["place"]

    def save(self) -> None:
        """Keeps all that a later sitting needs; a reader never sees half a file."""
        place = (self.step, self.epoch, self.batch, self.spent() * 60 * self.plan.minutes)
        kept = {"student": self.student.state_dict(), "optimizer": self.optimizer.state_dict()}
        fresh = self.plan.out.with_suffix(".new")
        torch.save({**kept, "place": place}, fresh)
        fresh.replace(self.plan.out)

    def learn(self, batch: Batch, vectors: torch.Tensor) -> None:
        """One step; the rate rises over the first steps and falls with the time spent."""
        scale = min(1.0, (self.step + 1) / 100)
        scale *= 0.5 * (1 + math.cos(math.pi * min(self.spent(), 1)))
        for group in self.optimizer.param_groups:
            group["lr"] = group["top"] * (0.02 + 0.98 * scale)
        with torch.autocast("cpu", torch.bfloat16):
            losses = loss_of(self.student, batch, vectors)
        self.optimizer.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self.optimizer.step()
        for head, value in losses.items():
            now = float(value.detach())
            self.mean[head] = 0.98 * self.mean.get(head, now) + 0.02 * now


def train(
    run: Run, rows: list[Row], table: Table, teacher: tuple[dict[str, int], np.ndarray]
) -> Student:
    """Trains until the budget of CPU time is spent."""
    places, vectors = teacher[0], torch.from_numpy(teacher[1])
    while True:
        seed = run.plan.seed * 1000 + run.epoch
        for number, examples in enumerate(epoch(rows, suspicion(table), places, seed)):
            if number < run.batch:
                continue
            run.learn(collate(examples), vectors)
            run.step, run.batch = run.step + 1, number + 1
            if run.step % 25 == 0:
                shown = " ".join(f"{head} {value:.3f}" for head, value in sorted(run.mean.items()))
                print(f"{run.spent():.3f} epoch {run.epoch} step {run.step} {shown}", flush=True)
            if run.step % 100 == 0 or run.spent() >= 1:
                run.save()
            if run.spent() >= 1:
                return run.student.eval()
        run.epoch, run.batch = run.epoch + 1, 0


def main() -> None:
    """Reads what `prepare` left and trains; goes on where an earlier sitting stopped."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("work", type=Path, help="folder of prepared rows, table and vectors")
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--start", type=Path, help="student.pt of a run to begin with")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with (given.work / "rows.pickle").open("rb") as file:
        ready = pickle.load(file)
    with (given.work / "table.pickle").open("rb") as file:
        table = pickle.load(file)
    out = given.work / "student.pt"
    run = Run(Plan(given.minutes, given.rate, out, given.seed, given.start))
    train(run, ready["train"], table, ready["teacher"])


if __name__ == "__main__":
    main()
