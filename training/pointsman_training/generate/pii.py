"""Sentences with personal data that belongs to nobody, in many shapes, and without any."""

import base64
import random
import re
import uuid
from collections.abc import Callable, Iterator

from ..rows import Row
from .grammar import expand, lines, table

NAMES = ("PERSON", "GPE", "ORGANIZATION", "NRP", "TITLE", "STREET_ADDRESS")
STREETS = {
    "en": ["{} Street", "{} Road", "{} Ave", "{} Lane", "{} Close", "{} Blvd", "{} Dr", "{} Court"],
    "fr": ["rue {}", "avenue de {}", "boulevard {}"], "es": ["Calle {}", "Avenida de {}", "Plaza {}"],
    "de": ["{}straße", "{}weg", "Am {}"], "it": ["Via {}", "Piazza {}", "Viale {}"],
    "pt": ["Rua {}", "Avenida {}", "Travessa {}"], "nl": ["{}straat", "{}laan"],
    "tr": ["{} Sokak No:", "{} Caddesi No:"],
}  # fmt: skip
FIRMS = ["{} Ltd", "{} GmbH", "{} Inc", "{} & Sons", "{} Group", "{} S.A.", "{} Bank", "{} University",
         "{} Hospital", "{}-{}", "{} and {}", "{}, {} and {}", "{} Labs", "{} LLC", "{} PLC"]  # fmt: skip
TYPED = re.compile(r"\{([A-Z_]+)\}")
ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
MONTHS = (
    "January February March April May June July August September October November December".split()
)


def luhn(digits: str) -> str:
    """The digits with their check digit."""
    total = 0
    for at, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if at % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


class People:
    """Draws values of every type."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.values: dict[tuple[str, str], list[str]] = {}
        for kind, lang, values in table("pii_values.tsv", 3):
            self.values[kind, lang] = values.split(";")

    def digits(self, count: int) -> str:
        """Digits, the first one not zero."""
        return str(self.draw.randrange(1, 10)) + "".join(
            str(self.draw.randrange(10)) for _ in range(count - 1)
        )

    def of(self, letters: str, count: int) -> str:
        """Random signs."""
        return "".join(self.draw.choice(letters) for _ in range(count))

    def value(self, kind: str, lang: str) -> str:
        """One of the listed values, English where the language has none."""
        return self.draw.choice(self.values.get((kind, lang)) or self.values[kind, "en"])

    def person(self, lang: str) -> str:
        """A name: whole, first alone, with an initial, last first."""
        if ("name", lang) in self.values:
            return self.value("name", lang)
        if self.draw.random() < 0.3:
            lang = self.draw.choice([code for kind, code in self.values if kind == "first"])
        first, last = self.value("first", lang), self.value("last", lang)
        if self.draw.random() < 0.3:
            last = self.coined()
        if self.draw.random() < 0.15:
            first = self.coined()
        return self.draw.choice(
            [f"{first} {last}"] * 5
            + [first, f"{first[0]}. {last}", f"{last}, {first}", f"{first} {first[0]}. {last}"]
        )

    def coined(self) -> str:
        """A name that nobody need have."""
        parts = "ba ke li mo ru san tor vel nik dra hof jen wil mar pet lin gor ash bel cor dun ev far".split()
        ends = [
            "",
            "n",
            "s",
            "son",
            "ski",
            "ez",
            "ova",
            "er",
            "ini",
            "ton",
            "berg",
            "eau",
            "u",
            "man",
        ]
        middle = "".join(self.draw.choice(parts) for _ in range(self.draw.randrange(1, 4)))
        return middle.capitalize() + self.draw.choice(ends)

    def mail(self, lang: str) -> str:
        """A mail address."""
        user = self.draw.choice([self.value("first", "en"), self.value("last", "en")]).lower()
        user = (
            re.sub("[^a-z]", "", user)
            + self.draw.choice(["", ".", "_", "+"])
            + self.draw.choice(["k", "info", "77", "home", "jr"])
        )
        return f"{user}@{self.draw.choice(['example.com', 'mail.test', 'acme.io', 'web.example.org', 'uni-sud.edu', 'firma.de'])}"

    def phone(self, lang: str) -> str:
        """A phone number in one of many shapes."""
        d = self.digits
        return self.draw.choice(
            [f"+1 {d(3)} {d(3)} {d(4)}", f"({d(3)}) {d(3)}-{d(4)}", f"{d(3)}-{d(3)}-{d(4)}", f"+44 20 {d(4)} {d(4)}",
             f"+49 {d(3)} {d(7)}", f"0{d(9)}", f"+33 6 {d(2)} {d(2)} {d(2)} {d(2)}", f"{d(3)}.{d(3)}.{d(4)}", f"+81-{d(2)}-{d(4)}-{d(4)}",
             f"010-{d(4)}-{d(4)}", f"+86 1{d(10)}", d(10), f"+{d(11)}", f"+34 6{d(8)}", f"+7 ({d(3)}) {d(3)}-{d(2)}-{d(2)}"]
        )  # fmt: skip

    def date(self, lang: str) -> str:
        """A date or time."""
        day, month, year = (
            self.draw.randrange(1, 29),
            self.draw.randrange(12),
            self.draw.randrange(1940, 2031),
        )
        name = MONTHS[month]
        return self.draw.choice(
            [f"{year}-{month + 1:02}-{day:02}", f"{day:02}/{month + 1:02}/{year}", f"{name} {day}, {year}", f"{day} {name} {year}",
             f"{day}.{month + 1}.{year}", f"{year}", f"{name} {year}", f"{year}-{month + 1:02}-{day:02}T0{day % 10}:15:00Z",
             f"{name[:3]} {day}", self.draw.choice(["Monday", "Friday", "Sunday"])]
        )  # fmt: skip

    def card(self, lang: str) -> str:
        """A card number with its check digit."""
        number = luhn(self.draw.choice(["4", "51", "2221", "37"]) + self.digits(11))[:16]
        number = luhn((number + self.digits(4))[:15])
        gap = self.draw.choice(["", " ", "-"])
        return gap.join(number[i : i + 4] for i in range(0, 16, 4))

    def iban(self, lang: str) -> str:
        """An account number with its check digits."""
        land, length = self.draw.choice(
            [
                ("DE", 18),
                ("ES", 20),
                ("NL", 14),
                ("IT", 23),
                ("FR", 23),
                ("PT", 21),
                ("CH", 17),
                ("GB", 18),
            ]
        )
        body = (
            self.of(UPPER[:26], 4) + self.digits(length - 4)
            if land in ("NL", "GB")
            else self.digits(length)
        )
        as_digits = "".join(str(int(c, 36)) for c in body + land + "00")
        whole = f"{land}{98 - int(as_digits) % 97:02}{body}"
        return (
            " ".join(whole[i : i + 4] for i in range(0, len(whole), 4))
            if self.draw.random() < 0.5
            else whole
        )

    def credential(self, lang: str) -> str:
        """Keys, tokens and passwords."""
        of = self.of
        jwt = ".".join(
            base64.urlsafe_b64encode(self.of(ALNUM, n).encode()).decode().rstrip("=")
            for n in (20, 40, 24)
        )
        return self.draw.choice(
            [f"sk-{of(ALNUM, 40)}", f"sk-proj-{of(ALNUM, 48)}", f"ghp_{of(ALNUM, 36)}", f"AKIA{of(UPPER, 16)}", f"xoxb-{self.digits(11)}-{of(ALNUM, 24)}",
             f"AIza{of(ALNUM, 35)}", f"hf_{of(ALNUM, 34)}", f"glpat-{of(ALNUM, 20)}", f"sk_live_{of(ALNUM, 24)}", "ey" + jwt, of("0123456789abcdef", 32),
             f"{of(ALNUM, 6)}!{of(ALNUM, 5)}#", f"{self.value('first', 'en')}{self.digits(4)}!", f"correct-{of(ALNUM[26:52], 5)}-{self.digits(2)}", of(ALNUM, 40),
             f"SG.{of(ALNUM, 22)}.{of(ALNUM, 43)}", f"npm_{of(ALNUM, 36)}", f"P@ss{self.digits(3)}word"]
        )  # fmt: skip

    def national(self, lang: str) -> str:
        """A national or tax number."""
        d, of = self.digits, self.of
        shapes = {
            "es": [f"{d(8)}{of(UPPER[:26], 1)}", f"X{d(7)}{of(UPPER[:26], 1)}"],
            "fr": [f"{self.draw.randrange(1, 3)} {d(2)} 0{d(1)} {d(2)} {d(3)} {d(3)} {d(2)}"],
            "de": [d(11), f"{d(2)}/{d(3)}/{d(5)}", f"L{of(UPPER, 8)}"],
            "it": [f"{of(UPPER[:26], 6)}{d(2)}{of('ABCDEHLMPRST', 1)}{d(2)}{of(UPPER[:26], 1)}{d(3)}{of(UPPER[:26], 1)}"],
            "pt": [f"{d(3)}.{d(3)}.{d(3)}-{d(2)}", d(9)],
            "zh": [f"{d(6)}19{d(2)}0{d(1)}1{d(5)}", f"{d(17)}X"],
        }  # fmt: skip
        return self.draw.choice(
            shapes.get(
                lang,
                [
                    d(11),
                    d(9),
                    f"{of(UPPER[:26], 2)} {d(2)} {d(2)} {d(2)} {of('ABCD', 1)}",
                    f"{d(4)} {d(4)} {d(4)}",
                ],
            )
        )

    def street(self, lang: str) -> str:
        """A street with its number in the order of the language."""
        name, number = self.value("street", lang), self.draw.randrange(1, 400)
        if self.draw.random() < 0.5:
            name = self.draw.choice(STREETS.get(lang, STREETS["en"])).format(self.coined())
        if lang in ("en", "fr"):
            return f"{number} {name}" + self.draw.choice(
                ["", "", f", Apt {self.draw.randrange(1, 40)}"] if lang == "en" else [""]
            )
        return f"{name} {number}" + self.draw.choice(["", "a"] if lang in ("de", "nl") else [""])

    def firm(self, lang: str) -> str:
        """A known organisation's kind of name, or a coined one."""
        if self.draw.random() < 0.5:
            return self.value("org", lang)
        return self.draw.choice(FIRMS).format(*(self.coined() for _ in range(3)))

    def makers(self) -> dict[str, Callable[[str], str]]:
        """How each type is made, given a language."""
        d, of, pick = self.digits, self.of, self.draw.choice
        return {
            "PERSON": self.person, "EMAIL_ADDRESS": self.mail, "PHONE_NUMBER": self.phone, "DATE_TIME": self.date,
            "CREDIT_CARD": self.card, "IBAN_CODE": self.iban, "CREDENTIAL": self.credential, "NATIONAL_ID": self.national,
            "STREET_ADDRESS": self.street,
            "AGE": lambda lang: str(self.draw.randrange(1, 99)),
            "GPE": lambda lang: self.coined() if self.draw.random() < 0.2 else self.value("city", lang),
            "ORGANIZATION": self.firm,
            "TITLE": lambda lang: self.value("title", lang),
            "NRP": lambda lang: self.value("nrp", lang),
            "ZIP_CODE": lambda lang: pick([d(5), d(5), f"{d(5)}-{d(4)}", f"{of('BCLMNSW', 1)}{of('AEGKLNRW', 1)}{d(1)} {d(1)}{of('ABDEH', 2)}"]) if lang == "en" else d(5),
            "US_SSN": lambda lang: pick([f"{d(3)}-{d(2)}-{d(4)}", f"{d(3)} {d(2)} {d(4)}", d(9)]),
            "US_DRIVER_LICENSE": lambda lang: pick([of(UPPER[:26], 1) + d(7), d(8), of(UPPER[:26], 1) + d(12), f"{of(UPPER[:26], 1)}{d(3)}-{d(4)}-{d(4)}"]),
            "BANK_ACCOUNT": lambda lang: pick([d(9), d(10), d(12), f"{d(4)}-{d(6)}", f"{d(2)}-{d(2)}-{d(2)} {d(8)}"]),
            "CRYPTO_WALLET": lambda lang: pick(["0x" + of("0123456789abcdef", 40), "bc1q" + of("023456789acdefghjklmnpqrstuvwxyz", 38), "1" + of(ALNUM, 33), "T" + of(ALNUM, 33)]),
            "DOMAIN_NAME": lambda lang: pick(["https://", "http://", "www.", ""]) + pick(["example", "my-shop", "northwind", "kiosk24"]) + pick([".com", ".org", ".io", ".co.uk"]) + pick(["", "", "/login?id=7", "/docs/a.html"]),
            "IP_ADDRESS": lambda lang: pick([".".join(str(self.draw.randrange(1, 255)) for _ in range(4)), ":".join(of("0123456789abcdef", 4) for _ in range(8)), f"2001:db8::{of('0123456789abcdef', 3)}"]),
            "MEDICAL_LICENSE": lambda lang: pick([of("ABFM", 1) + of(UPPER[:26], 1) + d(7), f"MD{d(6)}", d(10)]),
            "PASSPORT": lambda lang: pick([d(9), of(UPPER[:26], 1) + d(8), of(UPPER[:26], 2) + d(7), "C" + of(UPPER, 8)]),
        }  # fmt: skip


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


def pii_rows(seed: int = 12, count: int = 9000) -> list[Row]:
    """Sentences of all templates, some joined to longer texts, and harmless ones."""
    people = People(seed)
    templates = table("pii_templates.tsv", 2)
    found: dict[str, Row] = {}
    fillers = [line for line in lines("filler.txt") if harmless(line)]
    for number in range(count):
        lang, template = templates[number % len(templates)]
        text, spans = filled(template, lang, people)
        if people.draw.random() < 0.2:
            before = expand(people.draw.choice(fillers), people.draw) + people.draw.choice(
                [" ", "\n"]
            )
            spans = [(a + len(before), b + len(before), kind) for a, b, kind in spans]
            text = (
                before
                + text
                + people.draw.choice([" ", "\n"])
                + expand(people.draw.choice(fillers), people.draw)
            )
        row = Row(text, "pointsman-made", "made-pii", f"made-pii/{template}", lang=lang)
        row.spans = spans
        found.setdefault(text, row)
    for row in negatives(people, count // 3):
        found.setdefault(row.text, row)
    return list(found.values())
