"""Sentences with personal data that belongs to nobody, in many shapes, and without any."""

import re
import uuid
from collections.abc import Iterator

from ..rows import Row
from ..split import PLAIN_SHARE, draw
from .grammar import expand, lines, table
from .people import NAMES, UPPER, People

Marked = tuple[str, list[tuple[int, int, str]]]
TYPED = re.compile(r"\{([A-Z_]+)\}")


def filled(template: str, lang: str, people: People) -> tuple[str, list[tuple[int, int, str]]]:
    """A sentence and where its data is."""
    makers, out, spans, at = people.makers(), "", [], 0
    text = expand(template, people.draw)
    lower = people.draw.random() < 0.25
    for match in TYPED.finditer(text):
        out += text[at : match.start()].lower() if lower else text[at : match.start()]
        value = makers[match[1]](lang)
        value = value.lower() if lower and match[1] in NAMES else value
        spans.append((len(out), len(out) + len(value), match[1]))
        out += value
        at = match.end()
    return out + text[at:], joined(out, spans)


def joined(text: str, spans: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Town and code that follow a street belong to the address, as the published rows have it."""
    found: list[tuple[int, int, str]] = []
    for start, end, kind in spans:
        last = found[-1] if found else (0, 0, "")
        follows = last[2] == "STREET_ADDRESS" and kind in ("GPE", "ZIP_CODE")
        if follows and re.fullmatch(r",?[ \n]", text[last[1] : start]):
            found[-1] = (last[0], end, "STREET_ADDRESS")
        else:
            found.append((start, end, kind))
    return found


NAMED = re.compile(
    r"monday|tuesday|thursday|friday|semaine|settimana|lyon|peru|norway|prague|tokyo|london|new york|kenya|iceland|eiffel|earth|spain|greece|easter|"
    r"italian|korean|spanish|german|french|\bday|week|month|year|noon|morning|morgen|night|hour|"
    r"minute|second|quarter|today|morrow|yesterday|april|18\d\d|semana|lunes|diez|sexta|"
    r"nachmittag|holiday|\bsix\b|\bnine\b|spring|autumn|winter|weather|station|airport",
    re.IGNORECASE,
)


def harmless(line: str) -> bool:
    """Whether a seed line names no place, people, day or time."""
    return not NAMED.search(line)


def negatives(people: People, count: int) -> Iterator[Row]:
    """Texts with numbers that belong to nobody."""
    d, of = people.digits, people.of
    hexes = "0123456789abcdef"
    slots = {f"n{n}": (lambda n=n: d(n)) for n in range(1, 6)}
    slots |= {
        "hex6": lambda: of(hexes, 6),
        "hex40": lambda: of(hexes, 40),
        "up3": lambda: of(UPPER[:26], 3),
    }
    slots["uuid"] = lambda: str(uuid.UUID(int=people.draw.getrandbits(128), version=4))
    templates = lines("pii_negatives.txt") + [
        line for line in lines("everyday.txt") if harmless(line)
    ]
    for number in range(count):
        text = expand(templates[number % len(templates)], people.draw, slots)
        row = Row(text, "pointsman-made", "made-negative", text)
        row.spans = []
        yield row


def held(template: str) -> bool:
    """Whether a template goes to validation: it stands beside others of its side only."""
    return draw(f"made-pii/{template}") < PLAIN_SHARE


def surrounded(people: People, marked: Marked, fillers: list[str]) -> Marked:
    """A text between two sentences that tell of nobody."""
    (text, spans), pick = marked, people.draw.choice
    before = expand(pick(fillers), people.draw) + pick([" ", "\n"])
    after = pick([" ", "\n"]) + expand(pick(fillers), people.draw)
    return before + text + after, [(a + len(before), b + len(before), k) for a, b, k in spans]


def pii_rows(seed: int = 12, count: int = 14000) -> list[Row]:
    """Sentences of all templates, some joined to longer texts, and harmless ones."""
    people = People(seed)
    templates = table("pii_templates.tsv", 2)
    found: dict[str, Row] = {}
    fillers = [line for line in lines("filler.txt") if harmless(line)]
    beside: dict[tuple[str, bool], list[str]] = {}
    for lang, template in templates:
        beside.setdefault((lang, held(template)), []).append(template)
    for number in range(count):
        lang, template = templates[number % len(templates)]
        text, spans = filled(template, lang, people)
        if people.draw.random() < 0.3:
            text, spans = surrounded(people, (text, spans), fillers)
        if people.draw.random() < 0.2:
            again = people.draw.choice(beside[lang, held(template)])
            gap = people.draw.choice([" ", "\n", "\n\n", " - "])
            more, others = filled(again, lang, people)
            spans = spans + [(a + len(text + gap), b + len(text + gap), k) for a, b, k in others]
            text += gap + more
        row = Row(text, "pointsman-made", "made-pii", f"made-pii/{template}", lang=lang)
        row.spans = spans
        found.setdefault(text, row)
    for row in negatives(people, count // 3):
        found.setdefault(row.text, row)
    return list(found.values())
