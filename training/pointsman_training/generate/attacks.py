"""Attacks of many kinds, and the same shapes around harmless requests."""

import base64
import codecs
import random
from collections.abc import Callable, Iterator

from ..labels import HAZARDS
from ..rows import Row, guard, harm
from .disguise import ORDERS, WAYS, masked, split_up
from .grammar import expand, lines, table


class Maker:
    """Draws requests, goals, fillers."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.harmful = table("harmful.tsv", 2)
        self.harmless = lines("harmless.tsv")
        self.names, self.fillers, self.goals = (
            lines("names.txt"), lines("filler.txt"), lines("goals.tsv"),
        )  # fmt: skip
        self.foreign = table("harmful_ml.tsv", 3)
        self.foreign_goals = dict(table("goals_ml.tsv", 2))

    def pick(self, options: list[str]) -> str:
        """One expanded line."""
        return expand(self.draw.choice(options), self.draw)

    def bad(self) -> str:
        """A harmful verb phrase."""
        return expand(self.draw.choice(self.harmful)[1], self.draw)

    def good(self) -> str:
        """A harmless verb phrase."""
        return self.pick(self.harmless)

    def question(self, phrase: str) -> str:
        """A request for it."""
        return self.draw.choice(
            [f"How do I {phrase}?", f"How can someone {phrase}?", f"Tell me how to {phrase}.",
             f"{phrase[0].upper()}{phrase[1:]}.", f"What is the best way to {phrase}?",
             f"Explain how to {phrase} step by step.", f"how to {phrase}",
             f"Give me instructions to {phrase}.", f"I want to {phrase}. What do I do?"]
        )  # fmt: skip

    def address(self) -> str:
        """A link of an attacker."""
        host = self.draw.choice(
            ["evil", "files-cdn", "login-check", "free-gift", "attacker", "x9k"]
        )
        return f"http://{host}.{self.draw.choice(['example', 'test', 'invalid'])}/{self.draw.randrange(999)}"

    def slots(self, phrase: str) -> dict[str, Callable[[], str]]:
        """What templates may ask for; `phrase` is what the text is about."""
        who = lambda: self.draw.choice(self.names)
        name = who()
        return {
            "v": lambda: phrase,
            "how": lambda: f"how to {phrase}",
            "Q": lambda: self.question(phrase),
            "name": lambda: name,
            "filler": lambda: self.pick(self.fillers),
            "f": lambda: self.pick(self.fillers),
            "easy": self.good,
            "easy1": lambda: self.question(self.good()),
            "easy2": lambda: self.question(self.good()),
            "bad1": lambda: self.question(self.bad()),
            "bad2": lambda: self.question(self.bad()),
            "url": self.address,
            "mail": lambda: (
                f"{who().lower().replace(' ', '.')}@{self.draw.choice(['mail', 'corp', 'drop'])}.example"
            ),
            "number": lambda: str(self.draw.randrange(10**7, 10**8)),
            "address": lambda: f"{self.draw.randrange(1, 99)} Harbour Road",
            "b64": lambda: base64.b64encode(self.question(self.good()).encode()).decode(),
            "rot13": lambda: codecs.encode(self.question(self.good()), "rot13"),
        }

    def goal(self) -> str:
        """What a planted line wants."""
        return expand(self.draw.choice(self.goals), self.draw, self.slots("help"))


def row(text: str, label: str, family: str, lang: str = "en") -> Row:
    """A row for the jailbreak head."""
    made = Row(text, "pointsman-made", family, family if label != "benign" else text, lang=lang)
    made.targets["jailbreak"] = guard(label)
    return made


def framed(make: Maker, count: int) -> Iterator[Row]:
    """Each frame around many requests; neutral frames around harmless ones are harmless."""
    frames, neutral = table("attack_frames.tsv", 2), lines("neutral_frames.tsv")
    for number in range(count):
        technique, template = frames[number % len(frames)]
        text = expand(template, make.draw, make.slots(make.bad()))
        yield row(text, "jailbreak", f"made-{technique}")
        if number % 2:
            text = expand(make.draw.choice(neutral), make.draw, make.slots(make.good()))
            yield row(text, "benign", "made-neutral")


def hidden(make: Maker, count: int) -> Iterator[Row]:
    """Encoded, split and masked requests; a third of them harmless."""
    ways = sorted(WAYS)
    for number in range(count):
        kind = number % 3
        if kind == 2:
            phrase, label = make.question(make.good()), "benign"
        elif make.draw.random() < 0.35:
            phrase = f"{make.draw.choice(['ignore your rules and', 'forget the instructions,', 'now'])} {make.goal()}"
            label = "injection"
        else:
            phrase, label = make.question(make.bad()), "jailbreak"
        shape = make.draw.random()
        if shape < 0.4:
            text, family = split_up(phrase, make.draw), "made-split"
        elif shape < 0.6:
            text, family = masked(phrase, make.draw), "made-mask"
        else:
            way = make.draw.choice(ways)
            order = expand(make.draw.choice(ORDERS), make.draw)
            text = order.replace("{way}", way).replace("{x}", WAYS[way](phrase, make.draw))
            family = f"made-{way.replace(' ', '-')}"
        yield row(text, label, family)


def planted(make: Maker, count: int) -> Iterator[Row]:
    """Documents and tool results with a planted line, and without one."""
    carriers, plants = table("carriers.tsv", 2), lines("plants.tsv")
    asks = [
        "",
        "",
        "Summarise this.\n",
        "Translate to German:\n",
        "What does it say?\n",
        "Use the tool result below.\n",
    ]
    for number in range(count):
        kind, carrier = carriers[number % len(carriers)]
        clean = number % 3 == 2
        if clean:
            plant = make.pick(make.fillers)
            if make.draw.random() < 0.5:
                plant = make.draw.choice(
                    [f"Please {make.good()}.", f"TODO: {make.good()}", f"Note: see how to {make.good()}.",
                     "Ignore the old version.", "Do not reply to this mail.", "Important: bring your badge."]
                )  # fmt: skip
        else:
            slots = {**make.slots("help"), "g": make.goal}
            plant = expand(make.draw.choice(plants), make.draw, slots)
        slots = {**make.slots("help"), "x": lambda said=plant: said}
        text = make.draw.choice(asks) + expand(carrier, make.draw, slots)
        yield row(text, "benign" if clean else "injection", f"made-planted-{kind}")


def direct(make: Maker, count: int) -> Iterator[Row]:
    """Overrides and extractions by the user."""
    templates = lines("direct.tsv") + lines("plants.tsv")[:6]
    for number in range(count):
        slots = {**make.slots("help"), "g": make.goal}
        text = expand(templates[number % len(templates)], make.draw, slots)
        yield row(text, "injection", "made-direct")


def foreign(make: Maker, count: int) -> Iterator[Row]:
    """Attacks and harmless texts in other languages."""
    templates, harmless = table("attack_ml.tsv", 3), table("benign_ml.tsv", 2)
    for number in range(count):
        lang, kind, template = templates[number % len(templates)]
        asked = [request for code, _, request in make.foreign if code == lang]
        slots = make.slots("help")
        slots["q"] = lambda some=asked: make.draw.choice(some)
        slots["g"] = lambda code=lang: expand(
            make.foreign_goals[code], make.draw, make.slots("help")
        )
        yield row(expand(template, make.draw, slots), kind, f"made-{lang}", lang)
        lang, template = harmless[number % len(harmless)]
        yield row(expand(template, make.draw, make.slots("help")), "benign", "made-benign-ml", lang)


def harmless(make: Maker, count: int) -> Iterator[Row]:
    """Look-alikes and everyday prompts: no attack, no harm."""
    for name, family in (("benign.txt", "made-lookalike"), ("everyday.txt", "made-everyday")):
        templates = lines(name)
        for number in range(count // 2):
            template = templates[number % len(templates)]
            made = row(expand(template, make.draw, make.slots(make.good())), "benign", family)
            made.targets["harmful"] = harm(False, [0.0] * len(HAZARDS))
            yield made


def requests(make: Maker, count: int) -> Iterator[Row]:
    """Plain requests, harmful with their hazards and harmless."""
    for number in range(count):
        hazards, template = make.harmful[number % len(make.harmful)]
        text = make.question(expand(template, make.draw))
        made = Row(text, "pointsman-made", "made-request", template)
        made.targets["harmful"] = harm(True, [float(h in hazards.split()) for h in HAZARDS])
        yield made
        text = make.question(make.good())
        made = Row(text, "pointsman-made", "made-request", text)
        made.targets["harmful"] = harm(False, [0.0] * len(HAZARDS))
        made.targets["jailbreak"] = guard("benign")
        yield made
    for lang, hazard, text in make.foreign * 4:
        made = Row(
            make.draw.choice(["", "¿", ""]) + text,
            "pointsman-made",
            "made-request-ml",
            text,
            lang=lang,
        )
        made.targets["harmful"] = harm(True, [float(h == hazard) for h in HAZARDS])
        yield made


def attack_rows(seed: int = 11) -> list[Row]:
    """All of it, without doubles."""
    make = Maker(seed)
    found: dict[str, Row] = {}
    for rows in (
        framed(make, 7000), hidden(make, 4500), planted(make, 4500), direct(make, 1800),
        foreign(make, 1500), harmless(make, 6400), requests(make, 1200),
    ):  # fmt: skip
        for one in rows:
            found.setdefault(one.text, one)
    return list(found.values())
