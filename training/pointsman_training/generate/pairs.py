"""Pairs of questions: the same in other words, or another question that looks alike."""

import itertools
import random
from collections import defaultdict

from ..augment import change
from ..rows import Row, pair_row
from .grammar import expand, table

VALUES = {
    "n": [str(n) for n in (3, 5, 7, 12, 15, 20, 25, 30, 42, 60, 90, 443, 8080, 2024)],
    "city": "Paris;Oslo;Lima;Kyoto;Austin;Delhi;Turin;Graz;Perth;Dakar".split(";"),
    "name": "Marie Curie;Tom Hanks;Frida Kahlo;Nelson Mandela;my brother;Anna;Bach;Serena Williams".split(
        ";"
    ),
    "day": "Monday;Tuesday;Friday;Saturday;May 4;June 12;tomorrow".split(";"),
    "item": "ibuprofen;a used car;green tea;good morning;aspirin;a violin;stocks;thank you".split(
        ";"
    ),
    "lang": "French;German;Korean;Polish;Spanish".split(";"),
    "unit": "miles;pounds;cups;inches;gallons".split(";"),
    "land": "Kenya;Peru;Norway;Laos;Chile;Poland".split(";"),
}
PAIRED = {
    "unit": dict(
        zip(
            VALUES["unit"],
            "kilometres;kilograms;millilitres;centimetres;litres".split(";"),
            strict=True,
        )
    )
}


def draw_values(draw: random.Random) -> dict[str, str]:
    """Values for all slots; the second of a kind differs from the first."""
    found = {}
    for slot, values in VALUES.items():
        found[slot], found[slot + "2"] = draw.sample(values, 2)
    found["unit2"] = PAIRED["unit"][found["unit"]]
    return found


def wording(template: str, values: dict[str, str], draw: random.Random) -> str:
    """A wording with its slots filled, now and then a little changed."""
    text = expand(template, draw, {slot: lambda v=value: v for slot, value in values.items()})
    return change(text, draw) if draw.random() < 0.25 else text


def pair_rows(seed: int = 14, rounds: int = 24) -> list[Row]:
    """Pairs of every group, with other values every round."""
    draw = random.Random(seed)
    groups: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for group, side, template in table("pair_groups.tsv", 3):
        groups[group][side].append(template)
    found: dict[tuple[str, str], Row] = {}
    for _, (group, sides) in itertools.product(range(rounds), groups.items()):
        values, others = draw_values(draw), draw_values(draw)
        side = draw.choice(sorted(sides))
        first = draw.choice(sides[side])
        a = wording(first, values, draw)
        made = [(wording(draw.choice(sides[side]), values, draw), True)]
        if len(sides) == 2:
            other = "b" if side == "a" else "a"
            made.append((wording(draw.choice(sides[other]), values, draw), False))
        if "{" in first:
            slot = draw.choice([s for s in VALUES if "{" + s + "}" in first])
            swapped = {
                **values,
                slot: others[slot],
                **({"unit2": others["unit2"]} if slot == "unit" else {}),
            }
            if swapped[slot] not in (values[slot], values.get(slot + "2")):
                made.append((wording(first, swapped, draw), False))
        for b, same in made:
            if a != b:
                found.setdefault((a, b), pair_row(a, b, same, "pointsman-made", group))
    return list(found.values())
