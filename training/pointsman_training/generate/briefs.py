"""Long harmless briefs as people write them: personas, rules, steps, code and data; and attacks in the same clothes."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator

from ..labels import HAZARDS
from ..rows import Row, harm
from .attacks import Maker, row
from .grammar import expand, table

LISTS = ("job", "product", "lang", "human", "topic")
MARKS = ("- ", "* ", "1. ", "1) ", "Rule 1: ", "• ", "")
TITLES = (
    "Rules:",
    "Requirements:",
    "Constraints:",
    "Instructions:",
    "Please note:",
    "## Requirements",
    "Guidelines",
    "",
)
ORDERS = ("Steps:", "Do this:", "Procedure:", "## Steps", "Plan:", "")


class Briefs:
    """Draws the parts of a brief."""

    def __init__(self, seed: int, texts: list[str]) -> None:
        self.make = Maker(seed)
        self.draw = self.make.draw
        self.parts: dict[str, list[str]] = defaultdict(list)
        for part, text in table("briefs.tsv", 2):
            self.parts[part] += text.split(";") if part in LISTS else [text]
        self.texts = texts

    def slots(self, **more: Callable[[], str]) -> dict[str, Callable[[], str]]:
        """What the parts ask for."""
        lists = {name: lambda n=name: self.draw.choice(self.parts[n]) for name in LISTS}
        return {**lists, "n": lambda: str(self.draw.choice([2, 3, 5, 6, 8, 12, 20, 50])), **more}

    def part(self, name: str) -> str:
        """One part."""
        return expand(self.draw.choice(self.parts[name]), self.draw, self.slots())

    def some(self, name: str, least: int, most: int) -> list[str]:
        """Several parts of a kind, no two from one seed."""
        count = min(self.draw.randint(least, most), len(self.parts[name]))
        seeds = self.draw.sample(self.parts[name], count)
        return [expand(one, self.draw, self.slots()) for one in seeds]

    def listed(self, titles: tuple[str, ...], items: list[str]) -> str:
        """A titled list, or sentences in a row."""
        if self.draw.random() < 0.3:
            return " ".join(items)
        mark, title = self.draw.choice(MARKS), self.draw.choice(titles)
        body = "\n".join(mark.replace("1", str(at)) + item for at, item in enumerate(items, 1))
        return f"{title}\n{body}" if title else body

    def material(self) -> str:
        """Code, data, or a text of the public rows."""
        if not self.texts or self.draw.random() < 0.5:
            return self.part("code")
        text = self.draw.choice(self.texts)
        return self.draw.choice(
            ["{}", "Text:\n{}", '"""\n{}\n"""', "---\n{}\n---", "<text>{}</text>", "Input: {}"]
        ).format(text)

    def blocks(self) -> list[str]:
        """The parts behind the opening, in an order that people use."""
        chance, found = self.draw.random, []
        if chance() < 0.6:
            found.append(" ".join(self.some("context", 1, 3)))
        if chance() < 0.7:
            found.append(self.listed(TITLES, self.some("rule", 1, 6)))
        if chance() < 0.45:
            found.append(self.listed(ORDERS, self.some("step", 2, 5)))
        if chance() < 0.45:
            found.append(self.material())
        if chance() < 0.35:
            found.append(self.part("format"))
        if chance() < 0.2:
            self.draw.shuffle(found)
        if chance() < 0.4:
            found.append(self.part("close"))
        return found

    def harmless(self) -> tuple[str, str]:
        """A brief, and the seed of its opening."""
        seed = self.draw.choice(self.parts["open"])
        opening = expand(seed, self.draw, self.slots())
        gap = self.draw.choice(["\n\n", "\n", " ", "\n\n"])
        return gap.join([opening, *self.blocks()]), seed

    def attack(self) -> str:
        """A brief among whose rules one lifts all others, with a harmful task."""
        opening = self.part("open")
        blocks = self.blocks()
        over = self.some("override", 1, 2)
        rules = self.some("rule", 0, 4) + over
        self.draw.shuffle(rules)
        blocks.insert(self.draw.randint(0, len(blocks)), self.listed(TITLES, rules))
        bad = {"bad": lambda: self.make.question(self.make.bad())}
        blocks.append(expand(self.draw.choice(self.parts["task"]), self.draw, self.slots(**bad)))
        return self.draw.choice(["\n\n", "\n", " "]).join([opening, *blocks])


def briefs(made: Briefs, count: int) -> Iterator[Row]:
    """Four harmless ones to one attack."""
    for number in range(count):
        text, seed = made.harmless()
        one = row(text, "benign", "made-brief")
        one.group = f"made-brief/{seed}"
        one.targets["harmful"] = harm(False, [0.0] * len(HAZARDS))
        yield one
        if number % 4 == 0:
            yield row(made.attack(), "jailbreak", "made-brief-attack")


def brief_rows(known: list[Row], seed: int = 17, count: int = 5000) -> list[Row]:
    """All of it, without doubles; harmless public texts stand in some as what is to be worked on."""
    wanted = ("document", "instruction", "code", "question")
    quiet = [
        r.text for r in known if r.family in wanted and r.targets.get("jailbreak", [1.0])[0] == 0.0
    ]
    texts = random.Random(seed).sample(quiet, min(2500, len(quiet)))
    made = Briefs(seed, [text[:900] for text in texts if len(text) > 40])
    found: dict[str, Row] = {}
    for one in briefs(made, count):
        found.setdefault(one.text, one)
    return list(found.values())
