"""Questions of the public rows against themselves in other words, and with one word that makes another question of them."""

import random
import re
from collections.abc import Callable, Iterator

from ..augment import change
from ..rows import Row, pair_row
from .grammar import table

WORD = re.compile(r"[A-Za-z']+")
NUMBER = re.compile(r"\d+")
FROM_TO = re.compile(r"\bfrom ((?:\w+ ){0,2}\w+) to ((?:\w+ ?){1,2})", re.IGNORECASE)
SIDES = re.compile(r"\b(\w{4,}) (and|or|than|versus|vs) (\w{4,})\b")
SAME = (
    ("what is", "what's"), ("how do i", "how can i"), ("can you", "could you"), ("i want to", "i'd like to"), ("tell me", "let me know"),
    ("how do i", "what's the way to"), ("do not", "don't"), ("please", "kindly"), ("how to", "how do i"), ("show me", "give me"),
    ("which", "what"), ("need to", "have to"), ("big", "large"), ("buy", "purchase"), ("begin", "start"), ("fix", "repair"),
    ("help", "assist"), ("make", "create"), ("quickly", "fast"), ("movie", "film"), ("picture", "image"),
    ("find", "locate"), ("get", "obtain"), ("use", "employ"), ("explain", "describe"), ("kids", "children"), ("phone", "mobile"),
    ("best", "optimal"), ("why does", "what is the reason that"), ("who is", "who's"), ("i am", "i'm"), ("list", "enumerate"),
)  # fmt: skip
Swap = Callable[[str], tuple[str, str] | None]


def like(old: str, new: str) -> str:
    """The new word with the capital of the old one."""
    return new.capitalize() if old[:1].isupper() else new


class Swaps:
    """Draws changes of a question."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.others: dict[str, list[tuple[str, str]]] = {}
        for kind, line in table("swaps.tsv", 2):
            words = line.split(";")
            for word in words:
                self.others.setdefault(word, []).extend((w, kind) for w in words if w != word)

    def word(self, text: str) -> tuple[str, str] | None:
        """One word for another of its line."""
        here = [m for m in WORD.finditer(text) if m[0].lower() in self.others]
        if not here:
            return None
        chosen = self.draw.choice(here)
        new, kind = self.draw.choice(self.others[chosen[0].lower()])
        return text[: chosen.start()] + like(chosen[0], new) + text[chosen.end() :], kind

    def number(self, text: str) -> tuple[str, str] | None:
        """Another number."""
        here = list(NUMBER.finditer(text))
        if not here:
            return None
        chosen = self.draw.choice(here)
        by = self.draw.choice([1, 2, 5, 10, 100])
        return text[: chosen.start()] + str(int(chosen[0][:12]) + by) + text[
            chosen.end() :
        ], "number"

    def sides(self, text: str) -> tuple[str, str] | None:
        """From A to B becomes from B to A; A than B becomes B than A."""
        if found := FROM_TO.search(text):
            a, b = found[1].strip(), found[2].strip()
            return (
                f"{text[: found.start()]}from {b} to {a} {text[found.end() :]}".strip(),
                "direction",
            )
        found = SIDES.search(text)
        if found and found[2] == "than":
            return text[: found.start()] + f"{found[3]} than {found[1]}" + text[
                found.end() :
            ], "flip"
        return None

    def no(self, text: str) -> tuple[str, str] | None:
        """Does it, or does it not."""
        for old, new in ((" can ", " can't "), (" is ", " isn't "), (" do ", " don't "), (" to ", " not to "), (" should ", " shouldn't "), (" will ", " won't "), (" with ", " without ")):  # fmt: skip
            if old in text and self.draw.random() < 0.6:
                return text.replace(old, new, 1), "negation"
        return None

    def miss(self, text: str) -> tuple[str, str] | None:
        """A near miss, if the question has what one is made of."""
        ways: list[Swap] = [self.word, self.word, self.word, self.number, self.sides, self.no]
        self.draw.shuffle(ways)
        for way in [self.sides, *ways]:
            if found := way(text):
                return found
        return None

    def same(self, text: str) -> str:
        """The same question with other small words, blanks, frames."""
        out = text
        for old, new in self.draw.sample(SAME, len(SAME)):
            old, new = (old, new) if self.draw.random() < 0.6 else (new, old)
            place = re.search(rf"\b{old}\b", out, re.IGNORECASE)
            if place and self.draw.random() < 0.7:
                out = out[: place.start()] + like(place[0], new) + out[place.end() :]
        if out == text or self.draw.random() < 0.4:
            out = change(out, self.draw)
        return out if self.draw.random() < 0.7 else out.rstrip("?!. ")


def rows_of(swaps: Swaps, texts: list[str]) -> Iterator[Row]:
    """A pair of each sort for every text; what is not the question is changed on both sides alike."""
    for text in texts:
        found, draw = swaps.miss(text), swaps.draw
        if found is None:
            continue
        other, kind = found
        a = swaps.same(text) if draw.random() < 0.3 else text
        b = swaps.same(other) if draw.random() < 0.4 else other
        yield pair_row(a, b, False, "pointsman-made", f"miss-{kind}")
        yield pair_row(text, swaps.same(text), True, "pointsman-made", "same-words")
        if draw.random() < 0.3:
            yield pair_row(other, swaps.same(other), True, "pointsman-made", "same-words")


def near_miss_rows(known: list[Row], seed: int = 18, count: int = 6000) -> list[Row]:
    """Pairs around questions of people; questions with a near miss of their own are taken first."""
    draw = random.Random(seed)
    wanted = (
        "conversational",
        "question",
        "utterance",
        "instruction",
        "fact_check",
        "word-problem",
    )
    texts = {
        r.text for r in known if r.family in wanted and r.lang == "en" and 15 < len(r.text) < 160
    }
    ordered = sorted(texts)
    draw.shuffle(ordered)
    found: dict[tuple[str, str], Row] = {}
    for row in rows_of(Swaps(draw), ordered):
        if row.text != row.pair:
            found.setdefault((row.text, row.pair), row)
        if len(found) >= count:
            break
    return list(found.values())
