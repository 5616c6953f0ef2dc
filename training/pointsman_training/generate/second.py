"""Sentences with names, places and organisations for the second look at tokens: other templates and other values than the
encoder was trained on, so that its rows are no memories."""

from ..rows import Row
from .grammar import table
from .people import People
from .pii import filled, negatives

SHARE_PLAIN = 0.2
"""Texts that hold nothing, to each that holds something."""


class Others(People):
    """Draws from lists of their own."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        own: dict[tuple[str, str], list[str]] = {}
        for kind, lang, values in table("pii_second_values.tsv", 3):
            own.setdefault((kind, lang), []).extend(values.split(";"))
        self.values |= own

    def person(self, lang: str) -> str:
        """A name, in scripts without blanks out of the list of whole names."""
        return self.value("name", lang) if lang in ("ja", "ko") else super().person(lang)


def second_rows(seed: int = 77, count: int = 3000) -> list[Row]:
    """Rows of all templates in turn."""
    people, found = Others(seed), {}
    templates = table("pii_second.tsv", 2)
    for number in range(count):
        lang, template = templates[number % len(templates)]
        text, spans = filled(template, lang, people)
        row = Row(text, "pointsman-made", "second-pii", f"second-pii/{template}", lang=lang)
        row.spans = spans
        found.setdefault(text, row)
    for row in negatives(people, int(count * SHARE_PLAIN)):
        found.setdefault(row.text, row)
    return list(found.values())
