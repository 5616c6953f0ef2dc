"""Prompts by subject, feedback, fact check, modality."""

import random
from collections.abc import Iterator

from ..rows import Row, guard, one_hot
from .grammar import expand, lines, table


def domain(draw: random.Random, each: int) -> Iterator[Row]:
    """Every topic in several wordings, and whole prompts."""
    frames = lines("domain_frames.tsv")
    for label, topics in table("topics.tsv", 2):
        for topic in topics.split(";"):
            for frame in draw.sample(frames, min(each, len(frames))):
                text = expand(frame, draw, {"t": lambda said=topic: said})
                text = text[0].upper() + text[1:] if draw.random() < 0.6 else text
                row = Row(text, "pointsman-made", "made-topics", topic, kind="conversational")
                row.targets["domain"] = one_hot("domain", label)
                row.targets["jailbreak"] = guard("benign")
                yield row
    for label, text in table("domain_real.tsv", 2):
        row = Row(text, "pointsman-made", "made-prompts", text, kind="conversational")
        row.targets["domain"] = one_hot("domain", label)
        row.targets["jailbreak"] = guard("benign")
        yield row
    for name in ("everyday.txt",):
        for template in lines(name):
            text = expand(template, draw)
            row = Row(text, "pointsman-made", "made-everyday", text, kind="conversational")
            if not any(
                word in text for word in ("regex", "hello world", "15%", "2+2", "sky", "magnets")
            ):
                row.targets["domain"] = one_hot("domain", "other")
                yield row


def small(draw: random.Random, head: str, name: str, count: int) -> Iterator[Row]:
    """Rows of one of the small heads from its templates."""
    templates, things = table(name, 2), lines("things.txt")
    for number in range(count):
        label, template = templates[number % len(templates)]
        text = expand(template, draw, {"thing": lambda: draw.choice(things)})
        row = Row(text, "pointsman-made", f"made-{head}", template)
        row.targets[head] = one_hot(head, label)
        yield row


def prompt_rows(seed: int = 13) -> list[Row]:
    """All of it, without doubles."""
    draw = random.Random(seed)
    found: dict[str, Row] = {}
    for rows in (
        domain(draw, 5), small(draw, "modality", "modality.tsv", 1800),
        small(draw, "feedback", "feedback.tsv", 900), small(draw, "fact_check", "factcheck.tsv", 900),
    ):  # fmt: skip
        for row in rows:
            found.setdefault(row.text, row)
    return list(found.values())
