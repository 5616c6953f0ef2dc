"""Measures a file of weights on the development files: every head, every stage, with intervals."""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import first_stage
from .calibrate import Evidence, apply, stands
from .export import evidence
from .figures import Figure, figure, plain
from .first_stage import Table
from .joint import joined
from .labels import ASKED, HARMFUL, TEXT_HEADS, UNKNOWN
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


@dataclass
class Judged:
    """A head's rows, the truth, and each stage's probabilities."""

    rows: list[Row]
    proof: Evidence
    said: dict[str, np.ndarray]
    alone: np.ndarray
    limits: dict[str, float]


def find(many: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The settings of this name."""
    return next(one for one in many if one["name"] == name)


def judge(settings: dict[str, Any], rows: list[Row], proof: Evidence, both: np.ndarray) -> Judged:
    """Probabilities of the first stage, the encoder, both (`both`, of all rows), and the cascade of them."""
    mine = find(settings["heads"], proof.head)
    theirs = find(settings["ngrams"]["heads"], proof.head)
    first = apply(theirs["calibration"], proof.ngrams)
    alone = stands(mine["sure"], first)
    known, _, _ = first_stage.targets(rows, proof.head)
    said = {
        "n-grams": first,
        "encoder": apply(mine["calibration"], proof.encoder),
        "joined": both[known],
        "cascade": np.where(alone[:, None], first, both[known]),
    }
    limits = {one["name"]: one["threshold"] for one in reversed(mine["points"])}
    return Judged([rows[i] for i in known], proof, said, alone, limits)


def asked(one: Judged) -> list[Figure]:
    """AUC, recall and false alarms of a head of one question."""
    head, at = one.proof.head, ASKED[one.proof.head]
    found, positive = [], one.proof.said[:, at] > 0.5
    groups = [r.family if p else r.text[:80] for r, p in zip(one.rows, positive, strict=True)]

    def area(value: np.ndarray, i: np.ndarray) -> float:
        return auc(value[i], positive[i])

    def recall(value: np.ndarray, i: np.ndarray) -> float:
        return recall_at(value[i], positive[i], 0.01)

    for stage, chance in one.said.items():
        value = chance[:, at]
        found.append(figure(head, "AUC", stage, partial(area, value), groups))
        name = "recall at 1 % false positives"
        found.append(figure(head, name, stage, partial(recall, value), groups))
        if stage != "encoder":
            error = calibration_error(value, positive)
            found.append(plain(head, "calibration error", stage, len(value), error))
    hit = one.said["joined"][:, at] >= one.limits["fpr_1pct"]
    for name, here in (("false alarms", ~positive), ("recall", positive)):

        def share(i: np.ndarray, here: np.ndarray = here) -> float:
            return float(hit[i][here[i]].mean())

        found.append(figure(head, f"{name} at fpr_1pct", "joined", share, groups))
    return found


def families(one: Judged) -> list[str]:
    """AUC of each attack family against all harmless rows; alarms of each harmless kind."""
    value, positive = one.said["joined"][:, 0], one.proof.said[:, 0] > 0.5
    limit, out = one.limits["fpr_1pct"], []
    names = np.array([row.family.split("/")[0] for row in one.rows])
    for name in sorted(set(names[positive])):
        here = (names == name) & positive
        if here.sum() >= 8:
            some = here | ~positive
            caught = (value[here] >= limit).mean()
            out.append(
                f"| {name} | {here.sum()} | {auc(value[some], here[some]):.3f} | {caught:.2f} |"
            )
    out += ["", "| harmless | rows | alarms |", "| --- | --- | --- |"]
    kinds = np.array([f"{row.source}, {row.family}" for row in one.rows])
    for name in sorted(set(kinds[~positive])):
        here = (kinds == name) & ~positive
        if here.sum() >= 8:
            out.append(f"| {name} | {here.sum()} | {(value[here] >= limit).mean():.3f} |")
    return out


QUIET: dict[str, Callable[[Row], bool]] = {
    "security questions": lambda row: (
        row.source == "cyberseceval-mitre_frr" or "security" in row.family
    ),
    "role-play": lambda row: "role-play" in row.family,
    "short prompts": lambda row: len(row.text) <= 48,
    "long instructions": lambda row: row.source.startswith("arena") and len(row.text) > 200,
}


def chances(settings: dict[str, Any], said: Answers, first: np.ndarray, head: str) -> np.ndarray:
    """Joined probabilities of all rows, whether they know the head or not."""
    mine = find(settings["heads"], head)
    return apply(mine["calibration"], joined(mine, said.logits, first))


def quiet(
    settings: dict[str, Any], rows: list[Row], said: Answers, first: np.ndarray
) -> list[Figure]:
    """Alarms of the guard at `fpr_1pct` on harmless rows of all tasks, by kind."""
    points = find(settings["heads"], "jailbreak")["points"]
    limit = find(points, "fpr_1pct")["threshold"]
    hit = chances(settings, said, first, "jailbreak")[:, 0] >= limit
    guilty = [max(row.targets.get(h, [0.0])[0] for h in ("jailbreak", "harmful")) for row in rows]
    found = []
    for name, belongs in QUIET.items():
        here = [i for i, row in enumerate(rows) if guilty[i] < 0.5 and belongs(row)]
        alarm = hit[here].astype(float)
        how = lambda i, a=alarm: a[i].mean()
        found.append(figure("jailbreak", f"false alarms, {name}", "joined", how, len(here)))
    return found


def by_language(
    settings: dict[str, Any], rows: list[Row], said: Answers, first: np.ndarray
) -> list[str]:
    """What the guard catches and PII spans in each language."""
    points = find(settings["heads"], "jailbreak")["points"]
    limit = find(points, "fpr_1pct")["threshold"]
    hit = chances(settings, said, first, "jailbreak")[:, 0] >= limit
    threshold = settings["taggers"][0]["threshold"]
    lines = ["", "| language | attacks | caught | harmless | alarms | PII texts | span F2 |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for lang in sorted({row.lang for row in rows}):
        mine = [i for i, row in enumerate(rows) if row.lang == lang]
        know = [i for i in mine if "jailbreak" in rows[i].targets]
        bad = [i for i in know if rows[i].targets["jailbreak"][0] > 0.5]
        good = [i for i in know if rows[i].targets["jailbreak"][0] < 0.5]
        marked = [i for i in mine if rows[i].spans is not None]
        kept = [decode(rows[i].text, said.tags[i], said.pieces[i], threshold) for i in marked]
        f2 = f"{f_beta(counts(kept, [rows[i].spans or [] for i in marked])):.3f}" if marked else "–"
        shares = [f"{hit[some].mean():.2f}" if some else "–" for some in (bad, good)]
        lines.append(
            f"| {lang} | {len(bad)} | {shares[0]} | {len(good)} | {shares[1]} | {len(marked)} | {f2} |"
        )
    return lines


def manifold(one: Judged) -> list[Figure]:
    """Accuracy of a head of many labels; the subject by kind of text."""
    head, truth, found = one.proof.head, one.proof.said.argmax(1), []
    parts = {"all": np.ones(len(one.rows), bool)}
    if head == "domain":
        exam = np.array([row.kind.startswith(EXAM) for row in one.rows])
        parts = {"exam-like": exam, "conversational": ~exam}
    for name, here in parts.items():
        for stage, chance in one.said.items():
            right = (chance.argmax(1) == truth)[here].astype(float)
            count = int(here.sum())
            found.append(
                figure(head, f"accuracy, {name}", stage, lambda i, r=right: r[i].mean(), count)
            )
    error = calibration_error(one.said["joined"].max(1), one.said["joined"].argmax(1) == truth)
    return [*found, plain(head, "calibration error", "joined", len(truth), error)]


def difficulty(one: Judged) -> list[Figure]:
    """Whether a small model fails what a large one can do, against what a small one can do."""
    easy, hard = one.proof.said[:, 0] > 0.5, one.proof.said[:, 1] > 0.5
    known, found = easy | hard, []
    truth = hard[known]
    for stage, chance in one.said.items():
        value = (chance[:, 1] / (chance[:, 0] + chance[:, 1]))[known]
        how = lambda i, v=value: auc(v[i], truth[i])
        found.append(figure("difficulty", "AUC", stage, how, len(value)))
    return found


def hazards(
    one: Judged, stages: tuple[str, ...] = ("n-grams", "encoder", "joined")
) -> list[Figure]:
    """Mean AUC over the hazards that have rows enough."""
    truth = one.proof.said
    columns = [c for c in range(1, len(HARMFUL)) if (truth[:, c] == 1).sum() >= 20]

    def macro(chance: np.ndarray, i: np.ndarray) -> float:
        each = []
        for c in columns:
            known = truth[i, c] != UNKNOWN
            each.append(auc(chance[i, c][known], truth[i, c][known] > 0.5))
        return float(np.nanmean(each))

    name = f"hazards, mean AUC of {len(columns)}"
    return [figure("harmful", name, s, partial(macro, one.said[s]), len(truth)) for s in stages]


def pii(rows: list[Row], said: Answers, threshold: float) -> list[Figure]:
    """Span F2 and false alarms; templates are drawn whole."""
    known = [i for i, row in enumerate(rows) if row.spans is not None]
    kept = [decode(rows[i].text, said.tags[i], said.pieces[i], threshold) for i in known]
    true = [rows[i].spans or [] for i in known]
    numbers, clean = counts(kept, true), np.array([not one for one in true])
    groups, alarm = [rows[i].group for i in known], np.array([bool(one) for one in kept])
    found = [
        figure("pii", "span F2", "encoder", lambda i: f_beta(numbers[i]), groups),
        figure(
            "pii", "texts without PII with an alarm", "encoder",
            lambda i: float(alarm[i][clean[i]].mean()), groups,
        ),
    ]  # fmt: skip
    for kind in sorted({span[2] for one in true for span in one}):
        only = [[[s for s in one if s[2] == kind] for one in side] for side in (kept, true)]
        part = counts(*only)
        found.append(
            figure("pii", f"F2 {kind}", "encoder", lambda i, p=part: f_beta(p[i]), len(part))
        )
    return found


def measure(
    settings: dict[str, Any], student: Student, table: Table, rows: list[Row]
) -> tuple[list[Figure], list[str]]:
    """All figures of texts, and the table of attack families."""
    began = time.process_time()
    texts = [row.text for row in rows]
    said, first, found, by_family = answers(student, texts), table.read(texts), [], []
    print("answered, seconds", time.process_time() - began, flush=True)
    for head in TEXT_HEADS:
        one = judge(
            settings, rows, evidence(rows, said, first, head), chances(settings, said, first, head)
        )
        if head in ASKED:
            found += asked(one)
        elif head == "difficulty":
            found += difficulty(one)
        else:
            found += manifold(one)
        share = float(one.alone.mean())
        found.append(
            plain(head, "share that the first stage answers", "cascade", len(one.rows), share)
        )
        if head == "harmful":
            found += hazards(one)
        if head == "jailbreak":
            by_family = families(one)
            value, positive = one.said["joined"][:, 0], one.proof.said[:, 0] > 0.5
            found.append(length_matched(one.rows, value, positive))
            hit = positive & (value >= one.limits["fpr_1pct"])
            caught = [row for row, yes in zip(one.rows, hit, strict=True) if yes]
            found.append(flips(find(settings["heads"], head), student, table, caught))
    found += quiet(settings, rows, said, first)
    by_family += by_language(settings, rows, said, first)
    return found + pii(rows, said, settings["taggers"][0]["threshold"]), by_family


def main() -> None:
    """Prints the report and writes it beside the model."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings, student, table = load(given.model)
    found, by_family = measure(settings, student, table, read_all(given.data, "dev"))
    two = list(pair_rows(given.data, "dev"))
    found += similarity(student, settings, two)
    teacher = embeddings([text for row in two for text in (row.text, row.pair)])
    found.append(faithful(student, two, teacher))
    lines = ["| head | measure | stage | rows | value | 95 % |"]
    lines += ["| --- | --- | --- | --- | --- | --- |", *(one.line() for one in found), ""]
    lines += ["| attack family, unseen | rows | AUC | recall |", "| --- | --- | --- | --- |"]
    report = given.model.with_suffix(".dev.md")
    report.write_text("\n".join([*lines, *by_family]) + "\n", encoding="utf-8")
    numbers = json.dumps([vars(one) for one in found], indent=1)
    given.model.with_suffix(".dev.json").write_text(numbers, encoding="utf-8")
    print(report.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
