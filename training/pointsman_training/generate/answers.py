"""Answers to go with real texts: some say what the text says, in other words; some say what it does not, and where.

An answer is a list of pieces, `(text, unsupported)`; every change keeps that list, so that spans are exact.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from ..wordnet import WordNet, inflected, reading

Piece = tuple[str, bool]
WORD = re.compile(r"\w+|[^\w\s]+|\s+")
NAME = re.compile(r"[^\W\d_]\w+(?:[ -][^\W\d_]\w+)*")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
ENGLISH_MONTHS = (
    "January February March April May June July August September October November December".split()
)
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
UNITS = [
    "km miles meters feet yards kilometers".split(), "kg pounds grams tons ounces".split(),
    "million billion thousand trillion".split(), "hours days weeks months years minutes seconds".split(),
    "percent points".split(), "dollars euros pounds yen cents".split(), "liters gallons".split(),
]  # fmt: skip
AUXILIARIES = "is are was were has have had can could will would should must does did".split()
OWN = (
    4
    * "roughly mainly still actually simply currently then usually therefore likewise merely overall typically mostly thus".split()
    + ["no doubt"]
)
SPELLED = "zero one two three four five six seven eight nine ten eleven twelve".split()
TURNS = [
    ("before", "after"), ("above", "below"), ("more", "less"), ("increased", "decreased"),
    ("increase", "decrease"), ("first", "last"), ("highest", "lowest"), ("largest", "smallest"),
    ("north", "south"), ("east", "west"), ("northern", "southern"), ("eastern", "western"),
    ("always", "never"), ("all", "none"), ("with", "without"), ("higher", "lower"), ("rose", "fell"),
    ("won", "lost"), ("early", "late"), ("accepted", "rejected"), ("allowed", "forbidden"),
    ("opened", "closed"), ("most", "least"), ("including", "excluding"), ("began", "ended"),
    ("bought", "sold"), ("north", "east"), ("public", "private"), ("free", "paid"), ("legal", "illegal"),
]  # fmt: skip


@dataclass
class Passage:
    """A text that answers go by."""

    text: str
    question: str
    source: str
    lang: str
    group: str


@dataclass
class Answer:
    """What was made of it."""

    pieces: list[Piece]
    kinds: list[str] = field(default_factory=list)

    def text(self) -> str:
        """All of it."""
        return "".join(text for text, _ in self.pieces)

    def spans(self) -> list[tuple[int, int]]:
        """Unsupported parts, in characters, without the blanks around them."""
        found, at = [], 0
        for text, bad in self.pieces:
            if bad and text.strip():
                start = at + len(text) - len(text.lstrip())
                end = at + len(text.rstrip())
                if found and not self.text()[found[-1][1] : start].strip():
                    found[-1] = (found[-1][0], end)
                else:
                    found.append((start, end))
            at += len(text)
        return found


@dataclass
class Tools:
    """What changes draw from."""

    draw: random.Random
    words: WordNet
    frames: dict[str, list[str]]
    names: list[str]
    sentences: list[str]


def sentences(text: str) -> list[str]:
    """Sentences of a text, lines apart."""
    found = []
    for line in text.splitlines():
        line = re.sub(r"^(User|System|[-*•]|\d+\.)[: ]\s*", "", line.strip())
        parts = re.split(r"(?<=[.!?।])\s+(?=[^\W\d_a-z]|[\"'“(¿¡]|\d)|(?<=[。！？])", line)
        found += [part.strip() for part in parts if part]
    return [part for part in found if 25 <= len(part) <= 400]


def names(text: str) -> list[str]:
    """Runs of words with capitals that do not begin a sentence."""
    found = re.findall(r"(?<=[a-z,] )[A-Z][a-zé-]+(?: [A-Z][a-zé-]+)*", text)
    return [
        name for name in dict.fromkeys(found) if name not in ENGLISH_MONTHS + DAYS and len(name) > 2
    ]


def cut(sentence: str) -> list[Piece]:
    """A sentence as words and what is between them."""
    return [(part, False) for part in WORD.findall(sentence)]


# What changes no meaning.


def synonyms(pieces: list[Piece], tools: Tools, share: float) -> list[Piece]:
    """Some words by others that mean the same."""
    out = []
    for at, (text, bad) in enumerate(pieces):
        found = None
        if at > 0 and text.isascii() and text.isalpha() and text.islower() and len(text) > 3:
            found = reading(tools.words, text) if tools.draw.random() < share else None
        same = tools.words.synonyms(found[0], found[1]) if found else []
        if found and same and text not in AUXILIARIES:
            text = inflected(tools.draw.choice(same[:3]), found[2])
        out.append((text, bad))
    return out


def spelled(pieces: list[Piece], tools: Tools) -> list[Piece]:
    """Small numbers in letters, or in digits; per cent; months cut short; numbers told coarsely."""
    out = []
    for at, (text, bad) in enumerate(pieces):
        low = text.lower()
        around = [pieces[place][0] for place in (at - 1, at + 1) if 0 <= place < len(pieces)]
        if not all(one.isspace() or one == "%" for one in around):
            out.append((text, bad))
            continue
        if text.isdigit() and int(text) < len(SPELLED) and tools.draw.random() < 0.5:
            text = SPELLED[int(text)]
        elif low in SPELLED[2:] and tools.draw.random() < 0.4:
            text = str(SPELLED.index(low))
        elif text == "%" and tools.draw.random() < 0.5:
            text = " percent"
        elif text in ENGLISH_MONTHS and text != "May" and tools.draw.random() < 0.3:
            text = text[:3]
        out.append((text, bad))
    return out


def coarse(sentence: str, draw: random.Random) -> str:
    """A large number as so and so many millions."""

    def told(found: re.Match[str]) -> str:
        digits = found.group().replace(",", "")
        if not digits.isdigit() or len(digits) < 7 or draw.random() < 0.4:
            return found.group()
        scale, name = (1e9, "billion") if len(digits) > 9 else (1e6, "million")
        return f"{int(digits) / scale:.1f} {name}"

    return re.sub(r"\d{1,3}(?:,\d{3}){2,}", told, sentence)


def moved(sentence: str) -> str:
    """`In 1990, they built it.` as `They built it in 1990.`"""
    found = re.match(
        r"^((?:In|On|At|During|After|Before|Since|By|For) [^,.]{3,40}), ([^.]{15,}?)([.!])$",
        sentence,
    )
    if not found:
        return sentence
    front, rest, mark = found.groups()
    return f"{rest[0].upper()}{rest[1:]} {front[0].lower()}{front[1:]}{mark}"


def shorter(sentence: str, draw: random.Random) -> str:
    """What stands in brackets goes; so does what stands behind the first comma that leaves enough."""
    sentence = re.sub(r" ?\([^)]*\)", "", sentence)
    found = re.match(r"^([^,;]{40,}?)[,;] (?:and|but|which|who|while|where|although) ", sentence)
    if found and draw.random() < 0.5:
        return found.group(1).rstrip(",;") + "."
    return sentence


def turned_round(sentence: str, draw: random.Random) -> str:
    """What stands between commas in another order, joined by other words; now and then a word of one's own."""
    parts = sentence.rstrip(".").split(", ")
    if 2 <= len(parts) <= 4 and draw.random() < 0.35:
        draw.shuffle(parts)
        parts = [part[:1].lower() + part[1:] if part[1:2].islower() else part for part in parts]
        sentence = draw.choice([", ", " and ", ", while ", " - "]).join(parts) + "."
        sentence = sentence[0].upper() + sentence[1:]
    for _ in range(draw.choice([0, 0, 1, 2])):
        words = sentence.split(" ")
        words.insert(draw.randint(1, len(words)), draw.choice(OWN))
        sentence = " ".join(words)
    return sentence


def contracted(sentence: str) -> str:
    """`is not` as `isn't`."""
    return re.sub(r"\b(is|are|was|were|does|did|has|had|could|would) not\b", r"\1n't", sentence)


def faithful(passage: Passage, tools: Tools, most: int) -> Answer:
    """Says some of what the text says, in other words."""
    draw = tools.draw
    all_sentences = sentences(passage.text)
    count = min(len(all_sentences), draw.randint(1, most))
    start = draw.randrange(len(all_sentences) - count + 1)
    chosen = all_sentences[start : start + count]
    if draw.random() < 0.3:
        chosen = draw.sample(all_sentences, count)
    english = passage.lang == "en"
    share = draw.choice([0.0, 0.15, 0.35, 0.6, 0.8])
    pieces: list[Piece] = []
    if english and draw.random() < 0.35:
        pieces += [(draw.choice(tools.frames["lead"]) + " ", False)]
    for at, sentence in enumerate(chosen):
        if english:
            if draw.random() < 0.4:
                sentence = moved(sentence)
            if draw.random() < 0.5:
                sentence = shorter(sentence, draw)
            if draw.random() < 0.5:
                sentence = contracted(sentence)
            sentence = coarse(sentence, draw)
        made = cut(turned_round(sentence, draw) if english else sentence)
        if english:
            made = spelled(synonyms(made, tools, share), tools)
            if at and draw.random() < 0.2:
                glue = draw.choice(tools.frames["glue"]).capitalize()
                made = [(f"{glue}, ", False), *made]
        pieces += [*([(" ", False)] if at else []), *made]
    if english and draw.random() < 0.1:
        pieces.append((" " + draw.choice(tools.frames["close"]), False))
    return Answer(pieces)


# What makes an answer say something else.


def swap(pieces: list[Piece], at: int, text: str, until: int | None = None) -> list[Piece]:
    """Another text in the place of pieces."""
    return [*pieces[:at], (text, True), *pieces[(until or at + 1) :]]


def runs_of_names(pieces: list[Piece]) -> list[tuple[int, int]]:
    """Where names stand, as ranges of pieces."""
    found, at = [], 1
    while at < len(pieces):
        begins = pieces[at][0][:1].isupper() and pieces[at][0].isalpha() and len(pieces[at][0]) > 2
        fresh = at >= 2 and pieces[at - 2][0] in {".", "!", "?", ":"}
        if begins and not fresh and not pieces[at][1] and pieces[at - 1][0] == " ":
            end = at + 1
            while (
                end + 1 < len(pieces) and pieces[end][0] == " " and pieces[end + 1][0][:1].isupper()
            ):
                end += 2
            found.append((at, end))
            at = end
        at += 1
    return found


def other_name(answer: Answer, passage: Passage, tools: Tools) -> bool:
    """A name by another: of another text, or of this one."""
    places = runs_of_names(answer.pieces)
    if not places:
        return False
    start, end = tools.draw.choice(places)
    old = "".join(text for text, _ in answer.pieces[start:end])
    own = [name for name in names(passage.text) if name not in old and old not in name]
    if own and tools.draw.random() < 0.45:
        new, kind = tools.draw.choice(own), "name of this text"
    else:
        far = [
            name
            for name in tools.draw.sample(tools.names, min(12, len(tools.names)))
            if name not in passage.text
        ]
        if not far:
            return False
        new, kind = far[0], "name of another text"
    answer.pieces = swap(answer.pieces, start, new, end)
    answer.kinds.append(kind)
    return True


def other_number(answer: Answer, passage: Passage, tools: Tools) -> bool:
    """A number by another."""
    draw = tools.draw
    # Numbers with marks in them are several pieces.
    text = answer.text()
    bad = answer.spans()
    found = [
        one
        for one in NUMBER.finditer(text)
        if not any(a < one.end() and one.start() < b for a, b in bad)
    ]
    if not found:
        return False
    one = draw.choice(found)
    old = one.group()
    others = [
        other
        for other in set(NUMBER.findall(passage.text))
        if other != old and len(other) == len(old)
    ]
    if others and draw.random() < 0.35:
        new, kind = draw.choice(sorted(others)), "number of this text"
    else:
        kind = "other number"
        digits = list(old)
        places = [at for at, digit in enumerate(digits) if digit.isdigit()]
        if len(old) == 4 and old.isdigit() and old[:2] in {"18", "19", "20", "17", "16"}:
            new = str(int(old) + draw.choice([-30, -12, -7, -3, -2, -1, 1, 2, 3, 5, 11, 20]))
        else:
            at = draw.choice(places)
            digits[at] = draw.choice([digit for digit in "123456789" if digit != digits[at]])
            new = "".join(digits)
    if re.search(rf"(?<!\d){re.escape(new)}(?!\d)", passage.text) and kind == "other number":
        return False
    return replaced(answer, one.span(), new, kind)


def replaced(answer: Answer, span: tuple[int, int], new: str, kind: str) -> bool:
    """Another text in the place of characters."""
    out: list[Piece] = []
    at, put = 0, False
    for text, bad in answer.pieces:
        start, end = at, at + len(text)
        if end <= span[0] or start >= span[1]:
            out.append((text, bad))
        else:
            if start < span[0]:
                out.append((text[: span[0] - start], bad))
            if not put:
                out.append((new, True))
                put = True
            if end > span[1]:
                out.append((text[span[1] - start :], bad))
        at = end
    answer.pieces = out
    answer.kinds.append(kind)
    return True


def other_date(answer: Answer, _: Passage, tools: Tools) -> bool:
    """Another month or day of the week."""
    for group in (ENGLISH_MONTHS, DAYS):
        places = [
            at
            for at, (text, bad) in enumerate(answer.pieces)
            if text in group and text != "May" and not bad
        ]
        if places:
            at = tools.draw.choice(places)
            new = tools.draw.choice([one for one in group if one != answer.pieces[at][0]])
            answer.pieces = swap(answer.pieces, at, new)
            answer.kinds.append("date")
            return True
    return False


def other_unit(answer: Answer, _: Passage, tools: Tools) -> bool:
    """Another unit behind a number."""
    for group in tools.draw.sample(UNITS, len(UNITS)):
        places = [at for at, (text, bad) in enumerate(answer.pieces) if text in group and not bad]
        places = [
            at
            for at in places
            if at >= 2
            and (answer.pieces[at - 2][0].isdigit() or answer.pieces[at - 2][0] in SPELLED)
        ]
        if places:
            at = tools.draw.choice(places)
            new = tools.draw.choice([one for one in group if one != answer.pieces[at][0]])
            answer.pieces = swap(answer.pieces, at, new)
            answer.kinds.append("unit")
            return True
    return False


def denied(answer: Answer, _: Passage, tools: Tools) -> bool:
    """A denial put in, or taken out."""
    pieces = answer.pieces
    taken = [
        at
        for at, (text, bad) in enumerate(pieces)
        if text in {"not", "never", "no"} and not bad and at >= 2
    ]
    if taken and tools.draw.random() < 0.7:
        at = tools.draw.choice(taken)
        front = pieces[at - 2] if pieces[at - 1][0] == " " else ("", False)
        if front[0] in AUXILIARIES and at + 2 < len(pieces):
            out = [*pieces[: at - 2], (f"{front[0]} {pieces[at + 2][0]}", True), *pieces[at + 3 :]]
            answer.pieces = out
            answer.kinds.append("denial lost")
            return True
    places = [
        at
        for at, (text, bad) in enumerate(pieces)
        if text in AUXILIARIES and not bad and at + 2 < len(pieces)
    ]
    places = [
        at
        for at in places
        if pieces[at + 2][0] not in {"not", "never", "no"} and pieces[at + 1][0] == " "
    ]
    places = [at for at in places if at + 3 < len(pieces)]
    if not places:
        return False
    at = tools.draw.choice(places)
    verb = pieces[at][0]
    put = (
        f"{verb}n't"
        if verb in {"is", "are", "was", "were", "does", "did"} and tools.draw.random() < 0.4
        else f"{verb} {tools.draw.choice(['not', 'not', 'never'])}"
    )
    answer.pieces = swap(pieces, at, put)
    answer.kinds.append("denial")
    return True


def turned(answer: Answer, _: Passage, tools: Tools) -> bool:
    """A word by its opposite."""
    draw = tools.draw
    found = []
    both = {a: b for a, b in TURNS} | {b: a for a, b in TURNS}
    for at, (text, bad) in enumerate(answer.pieces):
        if bad or at == 0:
            continue
        if text in both:
            found.append((at, both[text]))
        elif text.isascii() and text.islower() and len(text) > 3 and text.isalpha():
            read = reading(tools.words, text)
            against = tools.words.antonyms(read[0], read[1]) if read and read[0] in "avr" else []
            if against:
                found.append((at, inflected(draw.choice(against), read[2])))
    if not found:
        return False
    at, new = draw.choice(found)
    answer.pieces = swap(answer.pieces, at, new)
    answer.kinds.append("opposite")
    return True


def beside(answer: Answer, passage: Passage, tools: Tools) -> bool:
    """A thing by another of its kind."""
    found = []
    for at, (text, bad) in enumerate(answer.pieces):
        if (
            bad
            or at == 0
            or not (text.isascii() and text.islower() and text.isalpha() and len(text) > 3)
        ):
            continue
        read = reading(tools.words, text)
        if read and read[0] == "n":
            others = [one for one in tools.words.sisters("n", read[1]) if one not in passage.text]
            if others:
                found.append((at, others, read[2]))
    if not found:
        return False
    at, others, ending = tools.draw.choice(found)
    answer.pieces = swap(answer.pieces, at, inflected(tools.draw.choice(others), ending))
    answer.kinds.append("thing")
    return True


def filled(frame: str, tools: Tools) -> str:
    """A frame with its slots filled."""
    year = str(tools.draw.randint(1985, 2024))
    return frame.replace("{year}", year).replace("{name}", tools.draw.choice(tools.names))


def clause(answer: Answer, _: Passage, tools: Tools) -> bool:
    """A clause that nobody said, at the end of a sentence."""
    ends = [
        at for at, (text, bad) in enumerate(answer.pieces) if text == "." and not bad and at > 4
    ]
    if not ends:
        return False
    at = tools.draw.choice(ends)
    said = filled(tools.draw.choice(tools.frames["clause"]), tools)
    front = ", " if said.startswith(",") else " "
    answer.pieces[at:at] = [(front, False), (said.removeprefix(",").strip(), True)]
    answer.kinds.append("clause")
    return True


def sentence(answer: Answer, passage: Passage, tools: Tools) -> bool:
    """A sentence that nobody said: made up, or of another text."""
    if passage.lang == "en" and tools.draw.random() < 0.4:
        said = filled(tools.draw.choice(tools.frames["sentence"]), tools)
    else:
        said = tools.draw.choice(tools.sentences)
        own = names(passage.text)
        places = runs_of_names(cut(said))
        if own and places and passage.lang == "en" and tools.draw.random() < 0.4:
            made = cut(said)
            start, end = places[0]
            said = "".join(text for text, _ in swap(made, start, tools.draw.choice(own), end))
    if said in passage.text:
        return False
    answer.pieces += [(" ", False), (said, True)]
    answer.kinds.append("sentence")
    return True


Change = Callable[[Answer, Passage, Tools], bool]
ENGLISH: list[Change] = [
    other_name, other_name, other_number, other_number, other_date, other_unit, denied, turned, beside, clause, clause, sentence,
]  # fmt: skip
ANY: list[Change] = [other_number, other_name, sentence]


def unfaithful(passage: Passage, tools: Tools, most: int) -> Answer | None:
    """Says something, and in one to three places something that the text does not say."""
    answer = faithful(passage, tools, most)
    changes = ENGLISH if passage.lang == "en" else ANY
    wanted = tools.draw.choice([1, 1, 1, 2, 3])
    for _ in range(6):
        if len(answer.kinds) >= wanted:
            break
        tools.draw.choice(changes)(answer, passage, tools)
    return answer if answer.kinds else None
