"""Answers about records: rows of tables and JSON objects, as tools give them. Values that belong to another row are the hard ones."""

import json
import random

from .answers import Answer, Passage, Piece

SAYS = {
    "train": [
        "For {key}, the {field} is {value}.",
        "The {field} of {key} is {value}.",
        "{key} has {value} as its {field}.",
        "According to the table, {key}: {field} {value}.",
    ],
    "dev": [
        "{key} lists {value} under {field}.",
        "Looking at {key}, its {field} comes to {value}.",
        "The entry for {key} shows a {field} of {value}.",
    ],
}


def table(text: str) -> tuple[list[str], list[list[str]]] | None:
    """Heads and rows of a table with bars."""
    lines = [
        line.strip().strip("|").split("|") for line in text.splitlines() if line.count("|") >= 3
    ]
    rows = [[cell.strip() for cell in line] for line in lines]
    if len(rows) < 4 or len({len(row) for row in rows}) != 1:
        return None
    return rows[0], rows[1:]


def records(text: str) -> tuple[list[str], list[list[str]]] | None:
    """Fields and values of a list of objects in JSON; the first field names the object."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    fields = list(found[0])
    return fields, [[str(one[field]) for field in fields] for one in found]


def told(passage: Passage, draw: random.Random, split: str, bad: int) -> Answer | None:
    """Says up to three values; `bad` of them are not those of the text."""
    found = table(passage.text) or records(passage.text)
    if not found:
        return None
    heads, rows = found
    unique = [
        at
        for at in range(len(heads))
        if len({row[at] for row in rows}) == len(rows) and heads[at] != "#"
    ]
    if not unique:
        return None
    key = next((at for at in unique if any(c.isalpha() for c in rows[0][at])), unique[0])
    fields = [
        at for at in range(len(heads)) if at != key and heads[at] not in {"#", "Notes", "Ref"}
    ]
    picked = []
    for _ in range(max(bad, draw.randint(1, 3))):
        picked.append((draw.randrange(len(rows)), draw.choice(fields)))
    pieces: list[Piece] = []
    kinds = []
    for at, (row, field) in enumerate(picked):
        value, wrong = rows[row][field], False
        if not value or len(value) > 60:
            return None
        if at < bad:
            others = sorted({one[field] for one in rows} - {value, ""})
            if not others:
                return None
            value, wrong = draw.choice(others), True
            kinds.append("value of another row")
        frame = draw.choice(SAYS[split])
        head, rest = frame.split("{value}")
        fill = {"{key}": rows[row][key], "{field}": heads[field].replace("_", " ").lower()}
        for slot, text in fill.items():
            head, rest = head.replace(slot, text), rest.replace(slot, text)
        pieces += [*([(" ", False)] if at else []), (head, False), (value, wrong), (rest, False)]
    return Answer(pieces, kinds)


def catalogue(lines: list[dict], draw: random.Random, count: int) -> list[str]:
    """Contexts of the kind that a tool gives: a few models with their limits and prices, in JSON."""
    whole = []
    for line in lines:
        price = (line.get("usd_per_million_tokens") or {}).get("standard") or {}
        one = {
            "model": str(line.get("model")).split("/")[-1], "provider": line.get("provider"),
            "context_window": line.get("max_input_tokens"), "output_limit": line.get("max_output_tokens"),
            "input_price": price.get("input"), "output_price": price.get("output"),
        }  # fmt: skip
        if all(value not in (None, "") for value in one.values()):
            whole.append(one)
    out = []
    for _ in range(count if len(whole) > 6 else 0):
        out.append(
            json.dumps(draw.sample(whole, draw.randint(3, 6)), indent=draw.choice([None, 1]))
        )
    return out
