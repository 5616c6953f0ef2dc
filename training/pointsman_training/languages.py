"""The stage beside the others: hashed n-grams that know attacks in languages which the encoder spells letter by letter.

`measure` trains on three quarters of the templates and tells of the rest; `fit` trains on all of them, with the scale that
the quarter held out says, and writes the stage into a file of weights.
"""

import argparse
import collections
import gzip
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from . import container
from .fixtures import TEXTS
from .generate import languages as grammar
from .labels import LABELS
from .metrics import threshold_at
from .ngrams import buckets, stretches
from .rows import CONTEXT_BOUND

HEAD, TONGUE, PART = "jailbreak", "tongue", "beside"
BITS, RUNS, STRETCH = 20, (2, 3, 4), 512
STRENGTH = 30.0
"""How little weights are held back."""
RARE = 2
"""Features of fewer texts are left out."""
CALM, DOUBT = 0.25, 3.0
"""Where no attack is more probable than the first, and all of a text is in another language, both stages are believed less
by the second, in logits."""
ENGLISH, ENGLISH_ATTACKS, LONGEST_ATTACK = 18_000, 2_500, 600
MARGIN = 2.5
"""So sure it must be of another language, in logits, before what it says counts."""
EACH, PLAIN = 26, 40
"""Texts of a template of an attack, and of a harmless one."""
INJECTIONS = {"override", "reset", "leak", "planted", "agent", "secret"}
"""Families that override or extract instructions; the others want forbidden content."""
APPLICATION = "auth"
"""The part of Django whose texts measure: it talks of passwords and permissions."""
LOCALES = {"pt_BR": "pt", "pt_PT": "pt", "zh_Hans": "zh", "id_ID": "id", "hi_IN": "hi"}
RATES = (("fpr_0.1pct", 0.002), ("fpr_1pct", 0.015))
"""Points of the head, and the share of harmless texts held out that may reach each. A third of these texts were written to
look like attacks, by templates that the stage held out did not see: of the others a third as many do."""


@dataclass
class Text:
    """A text, in which language, from where, and what it is: labels of the head, or none of them."""

    text: str
    lang: str
    source: str
    said: tuple[float, float, float] = (0.0, 0.0, 0.0)
    held: bool = False


@dataclass
class Stage:
    """Weights of the labels of the head, and of whether a text is in another language."""

    weight: np.ndarray
    bias: np.ndarray

    def read(self, texts: list[str]) -> np.ndarray:
        """Logits of whole texts: the highest of their stretches."""
        parts = [stretches(text, STRETCH) for text in texts]
        raw = matrix([one for part in parts for one in part]) @ self.weight + self.bias
        starts = np.cumsum([0] + [len(part) for part in parts])[:-1]
        return np.maximum.reduceat(raw, starts, axis=0)


def matrix(texts: list[str]) -> csr_matrix:
    """A row a stretch: one over the square root of the number of its features."""
    index = [buckets(text, RUNS, BITS).astype(np.int32) for text in texts]
    start = np.cumsum([0] + [len(one) for one in index])
    value = [np.full(len(one), 1 / max(np.sqrt(len(one)), 1.0), np.float32) for one in index]
    data = np.concatenate(value), np.concatenate(index), start
    return csr_matrix(data, shape=(len(texts), 1 << BITS))


def read(path: Path) -> Iterator[dict]:
    """The objects of a gzipped JSON lines file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def harmless(data: Path, split: str) -> Iterator[Text]:
    """All texts of the data that are no attack; texts with two questions say two."""
    for item in read(data / "jailbreak" / f"{split}.jsonl.gz"):
        if item["label"] == "benign":
            yield Text(item["text"], item["lang"], item["source"])
    for item in read(data / "domain" / f"{split}.jsonl.gz"):
        named = re.match(r"(?:pointsman-frames|mgsm)-(..)$", item["source"])
        yield Text(item["text"], named[1] if named else "en", item["source"])
    for item in read(data / "pii" / f"{split}.jsonl.gz"):
        yield Text(item["text"], item["lang"], item["source"])
    for name in ("feedback", "factcheck", "modality"):
        for item in read(data / "feedback_factcheck" / f"{name}_{split}.jsonl.gz"):
            yield Text(item["text"], item["lang"], item["source"])
    for item in read(data / "pairs" / f"{split}.jsonl.gz"):
        for text in (item["a"], item["b"]):
            yield Text(text, item["lang"], item["source"])


def attacks(data: Path, split: str) -> Iterator[Text]:
    """Attacks of the data, but for those that lie in a system prompt that the row does not have."""
    for item in read(data / "jailbreak" / f"{split}.jsonl.gz"):
        if item["label"] != "benign" and item["family"] not in CONTEXT_BOUND:
            said = (1.0, float(item["label"] == "injection"), float(item["label"] == "jailbreak"))
            yield Text(item["text"], item["lang"], item["source"], said)


def interface(programs: Path) -> Iterator[Text]:
    """Translated texts of Django and Wagtail (BSD-3-Clause): what programs say to people in our languages."""
    known = set(grammar.codes())
    for path in sorted(programs.rglob("LC_MESSAGES/django.po")):
        locale, app = path.parts[-3], path.parts[-5]
        lang = LOCALES.get(locale, locale)
        if lang not in known:
            continue
        whole = path.read_text(encoding="utf-8")
        for found in re.findall(r'^msgstr(?:\[\d\])? ((?:".*"\s*)+)', whole, re.M):
            text = "".join(json.loads(one) for one in re.findall(r'"(?:[^"\\]|\\.)*"', found))
            text = re.sub(r"%\(\w+\)[sd]|%[sd]", " ", text).strip()
            if len(text) >= 12 and "Project-Id" not in text:
                yield Text(text, lang, f"programs/{app}", held=app == APPLICATION)


def said_of(made: grammar.Made) -> tuple[float, float, float]:
    """Labels of a made text."""
    injection = made.kind in INJECTIONS
    return (
        float(made.attack),
        float(made.attack and injection),
        float(made.attack and not injection),
    )


def cut(texts: list[Text]) -> list[Text]:
    """Harmless texts in stretches, each once."""
    found: dict[str, Text] = {}
    for one in texts:
        for part in stretches(one.text, STRETCH):
            found.setdefault(part, Text(part, one.lang, one.source, one.said, one.held))
    return list(found.values())


def mixed(made: list[Text], real: list[Text], draw: random.Random) -> list[Text]:
    """Some attacks among harmless sentences, and as many harmless sentences that stand together."""
    plain, kind = collections.defaultdict(list), collections.defaultdict(list)
    for one in real:
        if not one.held:
            plain[one.lang].append(one.text)
    for one in made:
        if not one.said[0]:
            kind[one.lang].append(one)
    found = []
    for one in made:
        if one.said[0] and draw.random() < 0.3:
            beside = draw.choice(plain[one.lang])[:200]
            both = (beside, one.text) if draw.random() < 0.6 else (one.text, beside)
            one = Text(" ".join(both), one.lang, one.source, one.said, one.held)
        found.append(one)
    for lang, some in sorted(kind.items()):
        for number in range(900):
            parts, kept = [draw.choice(plain[lang])[:150] for _ in range(3)], False
            if number % 3:
                like = draw.choice(some)
                parts, kept = [like.text, parts[0]], like.held
                draw.shuffle(parts)
            found.append(Text(" ".join(parts), lang, "mixed", held=kept))
    return found


def abroad(english: list[Text], real: list[Text], draw: random.Random) -> list[Text]:
    """English attacks, some among words of another language: where nothing is found, both stages are believed less."""
    others = [one for one in real if one.lang != "en" and not one.held]
    draw.shuffle(english)
    found = []
    for number, one in enumerate(english[:ENGLISH_ATTACKS]):
        if number % 2:
            other = draw.choice(others)
            parts = [other.text[:200], one.text]
            draw.shuffle(parts)
            one = Text(" ".join(parts), other.lang, one.source, one.said)
        found.append(one)
    return found


def gather(data: Path, programs: Path) -> list[Text]:
    """Everything; what is marked is held out at first."""
    draw = random.Random(5)
    real = list(harmless(data, "train"))
    english = [one for one in real if one.lang == "en"]
    draw.shuffle(english)
    # What people ask and paste comes first: it is what the guard reads.
    asked = {item["text"] for item in read(data / "jailbreak" / "train.jsonl.gz")}
    english.sort(key=lambda one: one.text not in asked)
    real = [one for one in real if one.lang != "en"] + english[:ENGLISH]
    real = cut(real + list(interface(programs)))
    made = [
        Text(one.text, one.lang, one.kind, said_of(one), one.held)
        for one in grammar.texts(EACH, PLAIN)
    ]
    known = [one for one in attacks(data, "train") if len(one.text.encode()) <= LONGEST_ATTACK]
    here = [one for one in known if one.lang == "en"]
    known = [one for one in known if one.lang != "en"]
    return mixed(made, real, draw) + real + known + abroad(here, real, draw)


def targets(texts: list[Text]) -> np.ndarray:
    """What each text says to the labels of the head, and whether it is in another language."""
    return np.array([[*one.said, float(one.lang != "en")] for one in texts])


def regression(features: csr_matrix, flipped: csr_matrix, truth: np.ndarray) -> np.ndarray:
    """Logistic regression: weights, then the bias."""

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        raw = features @ flat[:-1] + flat[-1]
        wrong = 1 / (1 + np.exp(-np.clip(raw, -60, 60))) - truth
        slope = np.append(flipped @ wrong + flat[:-1] / STRENGTH, wrong.sum())
        held = float(flat[:-1] @ flat[:-1]) / (2 * STRENGTH)
        return float((np.logaddexp(0, raw) - truth * raw).sum()) + held, slope

    found = minimize(
        loss, np.zeros(features.shape[1] + 1), method="L-BFGS-B", jac=True, options={"maxiter": 80}
    )
    print("loss", round(found.fun / len(truth), 5), flush=True)
    return found.x


def train(features: csr_matrix, said: np.ndarray, labels: tuple[int, ...]) -> Stage:
    """Each of the labels by itself; weights of the others are zero."""
    common = np.nonzero(np.bincount(features.indices, minlength=features.shape[1]) >= RARE)[0]
    some = features[:, common].astype(np.float64)
    flipped = some.T.tocsr()
    weight, bias = np.zeros((features.shape[1], said.shape[1])), np.zeros(said.shape[1])
    for label in labels:
        found = regression(some, flipped, said[:, label])
        weight[common, label], bias[label] = found[:-1], found[-1]
    return Stage(weight.astype(np.float32), bias.astype(np.float32))


def quantized(stage: Stage) -> tuple[Stage, np.ndarray, np.ndarray]:
    """As bytes with a scale for each label, and what these say."""
    scale = np.maximum(np.abs(stage.weight).max(0) / 127, 1e-9).astype(np.float32)
    codes = np.clip(np.round(stage.weight / scale), -127, 127).astype(np.int8)
    return Stage(codes.astype(np.float32) * scale, stage.bias), codes, scale


@dataclass
class Held:
    """What no weight was trained on."""

    attacks: list[Text]
    harmless: list[Text]


def held(data: Path, programs: Path, more: Path | None) -> Held:
    """Templates, the data's development rows and texts of programs; `more` has harmless texts, an object a line."""
    made = [one for one in grammar.texts(40, 60, seed=23) if one.held]
    plain = [Text(one.text, one.lang, "templates") for one in made if not one.attack]
    plain += [one for one in harmless(data, "dev") if one.lang != "en"]
    plain += [one for one in interface(programs) if one.held]
    if more:
        rows = map(json.loads, more.read_text(encoding="utf-8").splitlines())
        plain += [Text(row["text"], row["lang"], row["source"]) for row in rows]
    return Held([Text(o.text, o.lang, o.kind, said_of(o)) for o in made if o.attack], plain)


def scaled(settings: dict[str, Any], value: np.ndarray) -> list[list[float]]:
    """Slope and shift by which this stage's logits meet the head's own thresholds where as few harmless texts do."""
    mine = next(one for one in settings["heads"] if one["name"] == HEAD)
    goal = {
        one["name"]: one["threshold"] for one in mine["points"] if one["label"] == LABELS[HEAD][0]
    }
    none = np.zeros(len(value), bool)
    at = [threshold_at(value, none, rate) for _, rate in RATES]
    wanted = [float(np.log(goal[name] / (1 - goal[name]))) for name, _ in RATES]
    slope = (wanted[0] - wanted[1]) / max(at[0] - at[1], 0.25)
    pair = [slope, wanted[1] - slope * at[1]]
    print("logits at", [name for name, _ in RATES], [round(one, 3) for one in at], "scale", pair)
    # Kinds of attack are told by the same logits, less sure.
    return [pair for _ in LABELS[HEAD]]


def write(given: Path, out: Path, stage: Stage, pairs: list[list[float]]) -> None:
    """Puts the stage into a file of weights, in the place of one that is there."""
    settings, parts = container.read(given)
    parts = dict(parts)
    _, codes, scale = quantized(stage)
    # English is what no other language is.
    codes = np.concatenate([codes, -codes[:, -1:]], axis=1)
    scale, bias = np.append(scale, scale[-1]), np.append(stage.bias, -stage.bias[-1])
    bias[-2] -= MARGIN
    parts |= {PART: codes, f"{PART}.scale": scale, f"{PART}.bias": bias}
    mine = next(one for one in settings["heads"] if one["name"] == HEAD)
    mine["beside"] = {"head": HEAD, "tongue": TONGUE, "calm": CALM, "doubt": DOUBT}
    any_stretch = {"across": "any"}
    settings[PART] = {
        "bits": BITS, "runs": list(RUNS), "stretch": STRETCH, "columns": codes.shape[1],
        "heads": [
            {"name": HEAD, "labels": LABELS[HEAD], "first_column": 0, **any_stretch,
             "calibration": {"platt": pairs}},
            {"name": TONGUE, "labels": ["other", "english"], "first_column": len(LABELS[HEAD]), **any_stretch,
             "calibration": {"platt": [[1.0, 0.0], [1.0, 0.0]]}},
        ],
    }  # fmt: skip
    container.write(out, settings, parts)


def fixture(given: Path, out: Path) -> None:
    """What the stage of a file says of texts, for the engine to agree with."""
    _, parts = container.read(given)
    weight = parts[PART].astype(np.float32) * parts[f"{PART}.scale"]
    stage = Stage(weight, parts[f"{PART}.bias"])
    of_grammar = [one.text for one in grammar.texts(1, 1, seed=31)][::60]
    texts = [*TEXTS, *of_grammar, " ".join(of_grammar)]
    rows = [
        {"text": text, "logits": [round(float(one), 5) for one in said]}
        for text, said in zip(texts, stage.read(texts), strict=True)
    ]
    out.write_text(json.dumps(rows, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def tell(stage: Stage, kept: Held, pair: list[float], goal: float) -> None:
    """Attacks caught and alarms at the usual point, by this stage alone."""
    least = (np.log(goal / (1 - goal)) - pair[1]) / pair[0]
    for name, texts in (("attacks", kept.attacks), ("harmless", kept.harmless)):
        over = stage.read([one.text for one in texts])[:, 0] >= least
        print(name, len(texts), "reach it:", round(float(over.mean()), 4), flush=True)
        for about in ("lang", "source"):
            each = collections.defaultdict(list)
            for one, reached in zip(texts, over, strict=True):
                each[getattr(one, about)].append(reached)
            line = {
                key: f"{np.mean(some):.3f} of {len(some)}" for key, some in sorted(each.items())
            }
            print(" ", about, json.dumps(line, ensure_ascii=False))


def main() -> None:
    """Fits the stage; tells on the way what the templates held out say."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("programs", type=Path, help="a folder with PyPI's `django` and `wagtail`")
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--more", type=Path, help="further harmless texts to be measured on")
    parser.add_argument("--fixture", type=Path, help="where what it says of some texts goes")
    given = parser.parse_args()
    settings, _ = container.read(given.weights)
    texts = gather(given.data, given.programs)
    said, rest = targets(texts), np.array([not one.held for one in texts])
    features = matrix([one.text for one in texts])
    print(
        len(texts),
        "texts,",
        int(said[:, 0].sum()),
        "attacks,",
        int((~rest).sum()),
        "held",
        flush=True,
    )
    stage, _, _ = quantized(train(features[rest], said[rest], (0, 3)))
    np.savez_compressed(given.out.with_suffix(".split.npz"), weight=stage.weight, bias=stage.bias)
    kept = held(given.data, given.programs, given.more)
    value = stage.read([one.text for one in kept.harmless])[:, 0]
    pairs = scaled(settings, value)
    mine = next(one for one in settings["heads"] if one["name"] == HEAD)
    goal = next(one["threshold"] for one in mine["points"] if one["name"] == "fpr_1pct")
    tell(stage, kept, pairs[0], goal)
    stage, _, _ = quantized(train(features, said, (0, 1, 2, 3)))
    write(given.weights, given.out, stage, pairs)
    if given.fixture:
        fixture(given.out, given.fixture)


if __name__ == "__main__":
    main()
