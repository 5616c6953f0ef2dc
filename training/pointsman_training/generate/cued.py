"""Forms, cards, chats, logs, mails and remarks whose values stand beside words that say what they are."""

from collections.abc import Iterator

from ..rows import Row
from .grammar import expand, lines, table
from .people import EAST, NAMES, People

ORDERS = (
    "{cue}: {value}", "{cue} {value}", "my {cue} is {value}", "{cue} = {value}", "{cue} #{value}",
    "the {cue} on file is {value}", "{value} is the {cue}", "{cue} no. {value}", "- {cue}: {value}",
    "{cue}\n{value}", "{cue} ({value})", "is {value} the right {cue}?", "{cue}\t{value}",
    "change the {cue} to {value}", "your {cue}, {value}, was rejected", '"{cue}": "{value}"',
    "<{cue}>{value}</{cue}>", "{cue}={value}", "{cue} -> {value}", "**{cue}** {value}",
    "Bot: {cue}? User: {value}", "Q: {cue}?\nA: {value}", "her {cue} was {value} then",
    "use {value} as {cue}", "please verify {cue} {value}", "| {cue} | {value} |",
)  # fmt: skip
PLAIN = (
    "{cue}: {value}", "{cue} {value}", "{cue}：{value}", "{cue} = {value}", "- {cue}: {value}", "{cue}\n{value}",
    "{cue} ({value})", "| {cue} | {value} |", '"{cue}": "{value}"', "{cue}={value}", "{value} ({cue})",
)  # fmt: skip
TALK = {
    "es": ("mi {cue} es {value}", "¿es {value} tu {cue}?", "el {cue} que tengo: {value}"),
    "fr": ("mon {cue} est {value}", "le {cue}, c'est {value}", "{value}, c'est bien votre {cue} ?"),
    "de": ("mein {cue} ist {value}", "{cue} lautet {value}", "ist {value} noch der {cue}?"),
    "it": ("il mio {cue} è {value}", "{cue} risulta {value}", "è {value} il {cue} giusto?"),
    "pt": ("o meu {cue} é {value}", "{cue} passou a {value}", "{value} é o {cue} certo?"),
    "tr": ("{cue} {value} olarak kayıtlı", "benim {cue} {value}", "{value} doğru {cue} mi?"),
    "ja": ("{cue}は{value}です", "{cue}を{value}に変更してください", "{cue}：{value}で登録済み"),
    "ko": ("{cue}는 {value}입니다", "{cue}을 {value}로 바꿔 주세요", "제 {cue} {value} 맞나요?"),
    "zh": ("{cue}是{value}", "{cue}改为{value}"),
}  # fmt: skip
LEADS = (
    "", "", "", "From the log: ", "New lead\n", "Ticket 4711\n", "[chat] ", "FYI ", "Hi team,\n", "INFO ", "{", "(", "> ",
    "Customer record\n", "Re: your request\n\n", "update: ",
)  # fmt: skip


def orders_of(lang: str) -> tuple[str, ...]:
    """How cue and value may stand together."""
    return ORDERS if lang == "en" else PLAIN + 2 * TALK.get(lang, ())


def put(parts: list[tuple[str, str | None]]) -> tuple[str, list[tuple[int, int, str]]]:
    """A text of parts, and the spans of those that are of a type."""
    out, spans = "", []
    for part, kind in parts:
        if kind:
            spans.append((len(out), len(out) + len(part), kind))
        out += part
    return out, spans


def cued(people: People, count: int) -> Iterator[Row]:
    """One to six values, each with its cue; some between sentences that tell of nobody."""
    draw, makers = people.draw, people.makers()
    cues = [(kind, lang, words.split(";")) for kind, lang, words in table("pii_cues.tsv", 3)]
    by_lang = {lang: [one for one in cues if one[1] == lang] for lang in {one[1] for one in cues}}
    clean = [line for line in lines("pii_negatives.txt") if "{" not in line]
    for number in range(count):
        lang = draw.choice(["en"] * 6 + 2 * sorted(set(by_lang) - {"en"}))
        between = draw.choice(
            ["\n", ", ", "; ", " and " if lang == "en" else " ", "\n", " | ", ". "]
        )
        alike, lower = draw.choice(orders_of(lang)), draw.random() < 0.3
        parts: list[tuple[str, str | None]] = [(draw.choice(LEADS), None)]
        for place in range(draw.choice([1, 1, 2, 3, 4, 6])):
            kind, _, words = draw.choice(by_lang[lang])
            cue, value = draw.choice(words), makers[kind](lang)
            order = alike if draw.random() < 0.7 else draw.choice(orders_of(lang))
            before, after = (part.replace("{cue}", cue) for part in order.split("{value}"))
            if lower and lang not in EAST:
                before, after = before.lower(), after.lower()
                value = value.lower() if kind in NAMES else value
            parts += [((between if place else "") + before, None), (value, kind), (after, None)]
        if draw.random() < 0.25:
            parts.append((draw.choice([" ", "\n", ". "]) + expand(draw.choice(clean), draw), None))
        text, spans = put(parts)
        row = Row(text, "pointsman-made", "made-cued", f"made-cued/{number}", lang=lang)
        row.spans = spans
        yield row


def cued_rows(seed: int = 15, count: int = 8000) -> list[Row]:
    """All of them, without doubles."""
    return list({row.text: row for row in cued(People(seed), count)}.values())
