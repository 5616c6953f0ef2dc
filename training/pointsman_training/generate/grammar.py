"""Small templates: `[a|b]` picks one, `{name}` is filled, `\\n` is a line break."""

import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path

SEEDS = Path(__file__).resolve().parents[2] / "data"
CHOICE = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")
SLOT = re.compile(r"\{(\w+)\}")

Fill = Mapping[str, Callable[[], str]]


def lines(name: str) -> list[str]:
    """The lines of a seed file without comments and blank ones."""
    text = (SEEDS / name).read_text(encoding="utf-8")
    return [line for line in text.split("\n") if line.strip() and not line.startswith("# ")]


def table(name: str, columns: int) -> list[list[str]]:
    """The rows of a tab-separated seed file."""
    return [line.split("\t", columns - 1) for line in lines(name)]


def expand(template: str, draw: random.Random, fill: Fill | None = None) -> str:
    """One text of a template. Doubled brackets stay as single ones."""
    text = template.replace("[[", "\ue000").replace("]]", "\ue001")
    while match := CHOICE.search(text):
        text = text[: match.start()] + draw.choice(match[1].split("|")) + text[match.end() :]
    if fill:
        text = SLOT.sub(lambda m: fill[m[1]]() if m[1] in fill else m[0], text)
        while match := CHOICE.search(text):
            text = text[: match.start()] + draw.choice(match[1].split("|")) + text[match.end() :]
    text = text.replace("\ue000", "[").replace("\ue001", "]").replace("\\n", "\n")
    text = re.sub(r"(?<=\S) +(?=\n|$)", "", text)
    return re.sub(r"(?<=\S) {2,}", " ", text).strip()
