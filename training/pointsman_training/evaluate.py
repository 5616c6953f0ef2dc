"""Measures a container on the development files: every head, every stage, with intervals."""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import first_stage
from .calibrate import Evidence, chances, mixed, score
from .export import evidence
from .figures import Figure, figure
from .first_stage import Table
from .labels import NEGATIVE, TEXT_HEADS
from .load import load
from .metrics import auc, calibration_error, recall_at
from .model import Student
from .predict import Answers, answers
from .robustness import flips, length_matched
from .rows import Row, pair_rows, read_all
from .similarity import faithful, similarity
from .spans import counts, decode, f_beta
from .teacher import embeddings

EXAM = ("exam", "word-problem", "code", "reasoning")


def grouping(rows: list[Row], head: str) -> list[str] | int:
    """Attacks are drawn by family, the rest by row."""
    if head in ("jailbreak", "harmful"):
        keys = [r.family if r.targets[head][0] < 0.5 else r.text[:80] for r in rows]
        return keys
    return len(rows)


def stages(header: dict[str, Any], proof: Evidence) -> dict[str, np.ndarray]:
    """Probabilities of the first stage, the encoder, both, and the cascade of them."""
    head = proof.head
    about = next(one for one in header["heads"] if one["name"] == head)
    parts = about["calibration"]
    found = {
        "n-grams": chances(mixed(parts["ngrams"], None, proof.ngrams), head),
        "encoder": chances(mixed(parts["encoder"], proof.encoder, proof.ngrams), head),
        "joined": chances(mixed(parts["joined"], proof.encoder, proof.ngrams), head),
    }
    rule = about["cascade"]
    if rule:
        first = found["n-grams"]
        value = score(first, head) if head in NEGATIVE else first.max(1)
        above, below = rule.get("above"), rule.get("below")
        alone = value >= (2.0 if above is None else above)
        if head in NEGATIVE and below is not None:
            alone |= value <= below
        found["cascade"] = np.where(alone[:, None], first, found["joined"])
        found["alone"] = alone
    return found


def binary(
    rows: list[Row], proof: Evidence, said: dict[str, np.ndarray], limits: dict[str, float]
) -> list[Figure]:
    """AUC, recall and false alarms of a head with a negative label."""
    found, positive = [], proof.said[:, 0] < 0.5
    groups = grouping(rows, proof.head)
    for stage in ("n-grams", "encoder", "joined", "cascade"):
        if stage not in said:
            continue
        value = score(said[stage], proof.head)
        found.append(
            figure(proof.head, "AUC", stage, lambda i, v=value: auc(v[i], positive[i]), groups)
        )
        how = lambda i, v=value: recall_at(v[i], positive[i], 0.01)
        found.append(figure(proof.head, "recall at 1 % false positives", stage, how, groups))
        error = calibration_error(value, positive)
        found.append(Figure(proof.head, "calibration error", stage, len(rows), error, error, error))
    value = score(said["joined"], proof.head)
    hit = value >= limits["fpr_1pct"]
    found.append(
        figure(
            proof.head,
            "false alarms at fpr_1pct",
            "joined",
            lambda i: hit[i][~positive[i]].mean(),
            groups,
        )
    )
    found.append(
        figure(
            proof.head, "recall at fpr_1pct", "joined", lambda i: hit[i][positive[i]].mean(), groups
        )
    )
    return found


def families(rows: list[Row], value: np.ndarray, positive: np.ndarray, limit: float) -> list[str]:
    """AUC of each attack family against all harmless rows, false alarms of each harmless source."""
    out = []
    for name in sorted({r.family.split("/")[0] for r, p in zip(rows, positive, strict=True) if p}):
        here = np.array([r.family.split("/")[0] == name for r in rows]) & positive
        if here.sum() >= 8:
            some = here | ~positive
            line = f"{auc(value[some], here[some]):.3f} | {(value[here] >= limit).mean():.2f}"
            out.append(f"| {name} | {here.sum()} | {line} |")
    out.append("| *harmless, share of alarms* | | | |")
    for name in sorted(
        {f"{r.source} {r.family}" for r, p in zip(rows, positive, strict=True) if not p}
    ):
        here = np.array([f"{r.source} {r.family}" == name for r in rows]) & ~positive
        if here.sum() >= 8:
            out.append(f"| {name} | {here.sum()} | | {(value[here] >= limit).mean():.3f} |")
    return out


def manifold(rows: list[Row], proof: Evidence, said: dict[str, np.ndarray]) -> list[Figure]:
    """Accuracy of a head of many labels; the subject by kind of text."""
    truth, found = proof.said.argmax(1), []
    parts = {"all": np.ones(len(rows), bool)}
    if proof.head == "domain":
        exam = np.array([row.kind.startswith(EXAM) for row in rows])
        parts = {"exam-like": exam, "conversational": ~exam}
    for name, here in parts.items():
        for stage in ("n-grams", "encoder", "joined", "cascade"):
            if stage in said:
                right = (said[stage].argmax(1) == truth)[here]
                found.append(
                    figure(
                        proof.head,
                        f"accuracy, {name}",
                        stage,
                        lambda i, r=right: r[i].mean(),
                        int(here.sum()),
                    )
                )
    for stage in ("encoder", "joined"):
        error = calibration_error(said[stage].max(1), said[stage].argmax(1) == truth)
        found.append(Figure(proof.head, "calibration error", stage, len(rows), error, error, error))
    return found


def difficulty(proof: Evidence, said: dict[str, np.ndarray]) -> list[Figure]:
    """Whether a small model fails what a large one can do, against what a small one can do."""
    easy, hard = proof.said[:, 0] > 0.5, proof.said[:, 1] > 0.5
    known, found = easy | hard, []
    for stage in ("n-grams", "encoder", "joined"):
        value = said[stage][known, 1] - said[stage][known, 0]
        truth = hard[known]
        found.append(
            figure(
                "difficulty", "AUC", stage, lambda i, v=value, t=truth: auc(v[i], t[i]), len(value)
            )
        )
    return found


def hazards(proof: Evidence, said: dict[str, np.ndarray]) -> list[Figure]:
    """Mean AUC over the hazards that have rows enough."""
    columns = [c for c in range(proof.said.shape[1]) if proof.said[:, c].sum() >= 20]
    truth = proof.said[:, columns] > 0.5

    def macro(value: np.ndarray, at: np.ndarray) -> float:
        each = [auc(value[at, c], truth[at, n]) for n, c in enumerate(columns)]
        return float(np.nanmean(each))

    name = f"macro AUC of {len(columns)}"
    return [
        figure("hazards", name, stage, partial(macro, said[stage]), len(proof.said))
        for stage in ("n-grams", "encoder", "joined")
    ]


def pii(rows: list[Row], said: Answers, threshold: float) -> list[Figure]:
    """Span F2 and false alarms; templates are drawn whole."""
    known = [i for i, row in enumerate(rows) if row.spans is not None]
    kept = [[s for s, v in decode(said.tags[i], said.pieces[i]) if v >= threshold] for i in known]
    true = [rows[i].spans or [] for i in known]
    numbers, clean = counts(kept, true), np.array([not one for one in true])
    groups = [rows[i].group for i in known]
    alarm = np.array([bool(one) for one in kept])
    found = [
        figure("pii", "span F2", "encoder", lambda i: f_beta(numbers[i]), groups),
        figure(
            "pii",
            "texts without PII with an alarm",
            "encoder",
            lambda i: alarm[i][clean[i]].mean(),
            groups,
        ),
    ]
    types = sorted({kind for one in true for _, _, kind in one})
    for kind in types:
        part = counts(
            [[s for s in one if s[2] == kind] for one in kept],
            [[s for s in one if s[2] == kind] for one in true],
        )
        found.append(
            figure("pii", f"F2 {kind}", "encoder", lambda i, p=part: f_beta(p[i]), len(part))
        )
    return found


def measure(
    header: dict[str, Any], student: Student, table: Table, rows: list[Row]
) -> tuple[list[Figure], list[str]]:
    """All figures, and the table of attack families."""
    said, found, table_of_families = answers(student, [row.text for row in rows]), [], []
    for head in TEXT_HEADS:
        proof = evidence(rows, said, table, head)
        known, _, _ = first_stage.targets(rows, head)
        mine, about = (
            [rows[i] for i in known],
            next(o for o in header["heads"] if o["name"] == head),
        )
        parts = stages(header, proof)
        if head in NEGATIVE:
            found += binary(mine, proof, parts, about["operating_points"])
        elif head == "hazards":
            found += hazards(proof, parts)
        elif head == "difficulty":
            found += difficulty(proof, parts)
        else:
            found += manifold(mine, proof, parts)
        if "alone" in parts:
            share = float(parts["alone"].mean())
            found.append(
                Figure(
                    head,
                    "share that the first stage answers",
                    "cascade",
                    len(mine),
                    share,
                    share,
                    share,
                )
            )
        if head == "jailbreak":
            value, positive = score(parts["joined"], head), proof.said[:, 0] < 0.5
            limit = about["operating_points"]["fpr_1pct"]
            table_of_families = families(mine, value, positive, limit)
            found.append(length_matched(mine, value, positive))
            found.append(
                flips(
                    header,
                    student,
                    table,
                    [r for r, v, p in zip(mine, value, positive, strict=True) if p and v >= limit],
                )
            )
    threshold = next(o for o in header["heads"] if o["name"] == "pii")["operating_points"]["span"]
    return found + pii(rows, said, threshold), table_of_families


def main() -> None:
    """Prints the report and writes it beside the model."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    header, student, table = load(given.model)
    found, by_family = measure(header, student, table, read_all(given.data, "dev"))
    two = list(pair_rows(given.data, "dev"))
    found += similarity(student, header, two)
    teacher = embeddings([text for row in two for text in (row.text, row.pair)])
    found.append(faithful(student, two, teacher))
    lines = [
        "| head | measure | stage | rows | value | 95 % |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [one.line() for one in found]
    lines += [
        "",
        "| attack family, unseen | rows | AUC | recall at fpr_1pct |",
        "| --- | --- | --- | --- |",
        *by_family,
    ]
    report = given.model.with_suffix(".dev.md")
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    given.model.with_suffix(".dev.json").write_text(
        json.dumps([vars(one) for one in found], indent=1)
    )
    print(report.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
