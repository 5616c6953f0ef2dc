"""Attacks and what only looks like them in languages other than English, from a grammar for each language."""

import base64
import json
import random
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from .grammar import SEEDS, expand, lines

FOLDER = "languages"
HARMLESS = "-"
MEASURED = SEEDS.parents[1] / "crates/guard/examples/disguised/translated.jsonl"
ALIKE = 0.5
"""Of two texts with so many of their runs of four characters in common, one is taken for a copy of the other."""
APART = 4
"""Of so many templates of a kind one, the last of each run, is held out of training, in all languages alike."""


@dataclass
class Language:
    """A file of `data/languages`: what slots may be filled with, and templates by kind, in order."""

    code: str
    slots: dict[str, list[str]] = field(default_factory=dict)
    templates: list[tuple[str, int, str]] = field(default_factory=list)
    """Kind, place within it, template."""


@dataclass
class Made:
    """A text of a template."""

    text: str
    lang: str
    kind: str
    """The family of the attack, or `-`."""
    place: int

    @property
    def attack(self) -> bool:
        """Whether it is one."""
        return self.kind != HARMLESS

    @property
    def held(self) -> bool:
        """Whether its template is kept out of training."""
        return is_held(self.kind, self.place)


def is_held(kind: str, place: int) -> bool:
    """Templates that training does not see: every fourth harmless one, the third of each family of three or more."""
    return place % APART == (APART - 1 if kind == HARMLESS else 2)


def codes() -> list[str]:
    """Languages that there are files for."""
    return sorted(path.stem for path in (SEEDS / FOLDER).glob("*.tsv"))


def language(code: str) -> Language:
    """Reads a file."""
    found, seen = Language(code), {}
    for line in lines(f"{FOLDER}/{code}.tsv"):
        kind, text = line.split("\t", 1)
        if kind.startswith("="):
            found.slots[kind[1:]] = text.split("|")
            continue
        place = seen.get(kind, 0)
        seen[kind] = place + 1
        found.templates.append((kind, place, text))
    return found


def bare(text: str) -> str:
    """Without accents, as people type where keys for them are far."""
    apart = unicodedata.normalize("NFD", text)
    kept = "".join(one for one in apart if not "\u0300" <= one <= "\u036f")
    return unicodedata.normalize("NFC", kept).replace("đ", "d").replace("ı", "i").replace("ł", "l")


def hurried(text: str, draw: random.Random) -> str:
    """As it is, or typed in a hurry."""
    chance = draw.random()
    if chance < 0.12:
        text = bare(text)
    if draw.random() < 0.15:
        text = text.lower()
    if draw.random() < 0.1:
        text = text.rstrip(".!?。！？؟।")
    if draw.random() < 0.04:
        text = text.upper()
    return text


class Maker:
    """Draws texts of a language."""

    def __init__(self, code: str, seed: int) -> None:
        self.draw = random.Random(f"{seed}{code}")
        self.language = language(code)
        self.names = lines("names.txt")

    def fill(self) -> dict:
        """What slots are filled with."""
        draw, slots = self.draw, self.language.slots
        who = draw.choice(self.names)
        host = draw.choice(["evil", "files", "login", "x9k", "collect"])
        small = {
            "name": lambda: who,
            "mail": lambda: f"{draw.choice(['a', 'drop', 'box', 'info'])}@{host}.example",
            "url": lambda: f"http://{host}.{draw.choice(['example', 'test'])}/{draw.randrange(99)}",
            "b64": lambda: base64.b64encode(draw.choice(slots["safe"]).encode()).decode(),
        }
        more = {
            name: (lambda some=some: self.resolved(some, small)) for name, some in slots.items()
        }
        return {**small, **more}

    def resolved(self, some: list[str], small: dict) -> str:
        """One filling, its own slots filled."""
        return expand(self.draw.choice(some), self.draw, small)

    def text(self, template: str) -> str:
        """One text."""
        made = expand(template, self.draw, self.fill())
        made = made[:1].upper() + made[1:] if self.draw.random() < 0.9 else made
        return hurried(made, self.draw)


def runs(text: str) -> set[str]:
    """Runs of four characters, in lower case and without accents."""
    small = bare(text.lower())
    return {small[at : at + 4] for at in range(max(len(small) - 3, 1))}


def measured(code: str) -> list[set[str]]:
    """Texts of a language that the guard is measured on: nothing like them is made."""
    rows = map(json.loads, MEASURED.read_text(encoding="utf-8").splitlines())
    return [runs(row["text"]) for row in rows if row["lang"] == code]


def is_copy(text: str, others: list[set[str]]) -> bool:
    """Whether it is too much like one of the others."""
    mine = runs(text)
    return any(len(mine & other) > ALIKE * len(mine | other) for other in others)


def texts(attacks: int, harmless: int, seed: int = 17) -> Iterator[Made]:
    """So many texts of each template, without doubles."""
    for code in codes():
        make, known, others = Maker(code, seed), set(), measured(code)
        for kind, place, template in make.language.templates:
            for _ in range(harmless if kind == HARMLESS else attacks):
                text = make.text(template)
                if text not in known and not is_copy(text, others):
                    known.add(text)
                    yield Made(text, code, kind, place)
