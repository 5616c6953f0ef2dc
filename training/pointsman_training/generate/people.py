"""Values of every type of personal data, in the shapes of their country; they belong to nobody."""

import base64
import random
import re
from collections.abc import Callable

from .grammar import table

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
ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
EAST = ("ja", "ko", "zh")
LOCAL_DATES = {
    "es": ("enero;febrero;marzo;abril;mayo;junio;julio;agosto;septiembre;octubre;noviembre;diciembre", "lunes;martes;viernes;domingo", "{d} de {m};{d} de {m} de {y};{y};{d}/{n}/{y}"),
    "fr": ("janvier;février;mars;avril;mai;juin;juillet;août;septembre;octobre;novembre;décembre", "lundi;jeudi;samedi", "{d} {m};{d} {m} {y};{y};{d}/{n}/{y}"),
    "de": ("Januar;Februar;März;April;Mai;Juni;Juli;August;September;Oktober;November;Dezember", "Montag;Mittwoch;Samstag", "{d}. {m};{d}. {m} {y};{y};{d}.{n}.{y}"),
    "it": ("gennaio;febbraio;marzo;aprile;maggio;giugno;luglio;agosto;settembre;ottobre;novembre;dicembre", "lunedì;giovedì;domenica", "{d} {m};{d} {m} {y};{y};{d}.{n}.{y}"),
    "pt": ("janeiro;fevereiro;março;abril;maio;junho;julho;agosto;setembro;outubro;novembro;dezembro", "segunda-feira;quinta-feira;sábado", "{d} de {m};{d} de {m} de {y};{y};{d}/{n}/{y}"),
    "tr": ("Ocak;Şubat;Mart;Nisan;Mayıs;Haziran;Temmuz;Ağustos;Eylül;Ekim;Kasım;Aralık", "Pazartesi;Salı;Cuma", "{d} {m};{d} {m} {y};{y};{d}.{n}.{y}"),
    "ja": ("月", "月曜日;水曜日;土曜日", "{y}年;{n}月{d}日;{y}年{n}月{d}日;{y}/{n}/{d}"),
    "ko": ("월", "월요일;목요일;토요일", "{y}년;{n}월 {d}일;{y}년 {n}월 {d}일;{y}.{n}.{d}"),
    "zh": ("月", "星期一;星期五", "{y}年;{n}月{d}日;{y}年{n}月{d}日"),
}  # fmt: skip
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
            self.values.setdefault((kind, lang), []).extend(values.split(";"))

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
        if lang in EAST:
            whole = self.value("family", lang) + self.value("given", lang)
            return self.draw.choice([whole, whole, self.value("name", lang)])
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
        """A date or time, half of them as the language writes it."""
        day, month, year = (
            self.draw.randrange(1, 29),
            self.draw.randrange(12),
            self.draw.randrange(1940, 2031),
        )
        if lang in LOCAL_DATES and self.draw.random() < 0.6:
            return self.local_date(lang, day, month, year)
        name = MONTHS[month]
        return self.draw.choice(
            [f"{year}-{month + 1:02}-{day:02}", f"{day:02}/{month + 1:02}/{year}", f"{name} {day}, {year}", f"{day} {name} {year}",
             f"{day}.{month + 1}.{year}", f"{year}", f"{name} {year}", f"{year}-{month + 1:02}-{day:02}T0{day % 10}:15:00Z",
             f"{name[:3]} {day}", f"{month + 1}/{day}/{year % 100:02}", f"the {day}th of {name}", f"{day % 12 + 1}{self.draw.choice(['am', 'pm', ':30'])}",
             self.draw.choice(["Monday", "Friday", "Sunday"])]
        )  # fmt: skip

    def local_date(self, lang: str, day: int, month: int, year: int) -> str:
        """A date in the words of a language."""
        months, days, shapes = (part.split(";") for part in LOCAL_DATES[lang])
        shape = self.draw.choice([*shapes, *shapes, self.draw.choice(days)])
        name = months[month] if len(months) == 12 else str(month + 1)
        return shape.format(d=day, m=name, y=year, n=month + 1)

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
            "es": [f"{d(8)}{of(UPPER[:26], 1)}", f"{d(2)}.{d(3)}.{d(3)}-{d(1)}", f"{of(UPPER[:26], 4)}{d(6)}HM{of(UPPER[:26], 3)}0{d(1)}", f"X{d(7)}{of(UPPER[:26], 1)}"],
            "fr": [f"{self.draw.randrange(1, 3)} {d(2)} 0{d(1)} {d(2)} {d(3)} {d(3)} {d(2)}"],
            "de": [d(11), f"{d(2)} {d(3)} {d(3)} {d(3)}", f"756.{d(4)}.{d(4)}.{d(2)}", f"{d(2)}/{d(3)}/{d(5)}", f"L{of(UPPER, 8)}"],
            "it": [f"{of(UPPER[:26], 6)}{d(2)}{of('ABCDEHLMPRST', 1)}{d(2)}{of(UPPER[:26], 1)}{d(3)}{of(UPPER[:26], 1)}"],
            "pt": [f"{d(3)}.{d(3)}.{d(3)}-{d(2)}", d(9)],
            "ko": [f"{d(2)}0{d(1)}1{d(1)}-{self.draw.randrange(1, 5)}{d(6)}"],
            "ja": [d(12), f"{d(4)} {d(4)} {d(4)}"],
            "tr": [d(11)],
            "zh": [f"{d(6)}19{d(2)}0{d(1)}1{d(5)}", f"{d(17)}X"],
        }  # fmt: skip
        return self.draw.choice(
            shapes.get(
                lang,
                [
                    d(11),
                    d(9),
                    f"{d(3)}-{d(3)}-{d(3)}",
                    f"{d(3)} {d(3)} {d(4)}",
                    f"{of(UPPER[:26], 2)}{d(6)}{of('ABCD', 1)}",
                    f"{of(UPPER[:26], 5)}{d(4)}{of(UPPER[:26], 1)}",
                    f"{d(2)}-{d(7)}",
                    f"{d(6)}-{d(4)}",
                    f"{d(6)}-{d(7)}",
                    f"{of(UPPER[:26], 1)}{d(7)}{of(UPPER[:26], 1)}",
                    f"{of(UPPER[:26], 2)} {d(2)} {d(2)} {d(2)} {of('ABCD', 1)}",
                    f"{d(4)} {d(4)} {d(4)}",
                ],
            )
        )

    def street(self, lang: str) -> str:
        """A street with its number in the order of the language."""
        name, number = self.value("street", lang), self.draw.randrange(1, 400)
        if lang in EAST:
            block = self.draw.randrange(1, 30)
            end = {"ja": f"{block}丁目{number % 30 + 1}番{number % 9 + 1}号", "ko": f" {number}"}
            return name + self.draw.choice([end.get(lang, f"{number}号"), f"{block}-{number}"])
        if self.draw.random() < 0.5:
            name = self.draw.choice(STREETS.get(lang, STREETS["en"])).format(self.coined())
        if lang in ("en", "fr"):
            end = ["", "", f", Apt {self.draw.randrange(1, 40)}", f" Suite {self.digits(3)}"]
            return f"{number} {name}" + (self.draw.choice(end) if lang == "en" else "")
        comma = self.draw.choice(["", ","]) if lang in ("it", "pt", "es") else ""
        return f"{name}{comma} {number}" + self.draw.choice(
            ["", "a" if lang in ("de", "nl") else ""]
        )

    def zip_code(self, lang: str) -> str:
        """A post code of one of the countries of a language."""
        d, of, pick = self.digits, self.of, self.draw.choice
        local = {
            "ja": [f"{d(3)}-{d(4)}"],
            "pt": [f"{d(4)}-{d(3)}", f"{d(5)}-{d(3)}"],
            "de": [d(5), d(4)],
            "zh": [d(6)],
        }
        english = [
            d(5),
            d(5),
            f"{d(5)}-{d(4)}",
            f"{of('BCLMNSW', 1)}{of('AEGKLNRW', 1)}{d(1)} {d(1)}{of('ABDEH', 2)}",
            f"{of('KLMST', 1)}{d(1)}{of('ABCEH', 1)} {d(1)}{of('ABCEH', 1)}{d(1)}",
            d(4),
            d(6),
            f"{of('KLMST', 1)}{d(1)}{of('ABCEH', 1)}{d(1)}{of('ABCEH', 1)}{d(1)}",
            f"{d(4)} {of(UPPER[:26], 2)}",
            "0" + d(4),
        ]
        return pick(english if lang == "en" else local.get(lang, [d(5), d(5), "0" + d(4)]))  # fmt: skip

    def job(self) -> str:
        """A profession in one to three words."""
        pick = self.draw.choice
        kind = pick(
            "engineer;teacher;nurse;manager;officer;technician;driver;designer;clerk;consultant;analyst;therapist;surveyor;editor;scientist;assistant;operator;adviser;planner;inspector;director;architect;chef;pilot;plumber;broker".split(
                ";"
            )
        )
        field = pick(
            "civil;software;primary school;sales;marketing;chemical;insurance;accounts;research;human resources;mental health;data;fashion;building;customs;media;aid;IT;food;water;site;warehouse;legal".split(
                ";"
            )
        )
        name = pick(
            [
                kind,
                f"{field} {kind}",
                f"{field} {kind}",
                f"{kind}, {field}",
                f"senior {field} {kind}",
            ]
        )
        return name[0].upper() + name[1:] if pick([0, 1]) else name

    def firm(self, lang: str) -> str:
        """A known organisation's kind of name, or a coined one."""
        if lang in EAST or self.draw.random() < 0.5:
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
            "GPE": lambda lang: self.coined() if lang not in EAST and self.draw.random() < 0.2 else self.value("city", lang),
            "ORGANIZATION": self.firm,
            "TITLE": lambda lang: self.value("title", lang) if lang != "en" or pick([0, 1]) else self.job(),
            "NRP": lambda lang: self.value("nrp", lang),
            "ZIP_CODE": self.zip_code,
            "US_SSN": lambda lang: pick([f"{d(3)}-{d(2)}-{d(4)}", f"{d(3)} {d(2)} {d(4)}", d(9)]),
            "US_DRIVER_LICENSE": lambda lang: pick([of(UPPER[:26], 1) + d(7), d(8), of(UPPER[:26], 1) + d(12), f"{of(UPPER[:26], 1)}{d(3)}-{d(4)}-{d(4)}"]),
            "BANK_ACCOUNT": lambda lang: pick([d(9), d(10), d(12), f"{d(4)}-{d(6)}", f"{d(2)}-{d(2)}-{d(2)} {d(8)}"]),
            "CRYPTO_WALLET": lambda lang: pick(["0x" + of("0123456789abcdef", 40), "bc1q" + of("023456789acdefghjklmnpqrstuvwxyz", 38), "1" + of(ALNUM, 33), "T" + of(ALNUM, 33)]),
            "DOMAIN_NAME": lambda lang: pick(["https://", "http://", "www.", ""]) + pick(["example", "my-shop", "northwind", "kiosk24"]) + pick([".com", ".org", ".io", ".co.uk"]) + pick(["", "", "/login?id=7", "/docs/a.html"]),
            "IP_ADDRESS": lambda lang: pick([".".join(str(self.draw.randrange(1, 255)) for _ in range(4)), ":".join(of("0123456789abcdef", 4) for _ in range(8)), f"2001:db8::{of('0123456789abcdef', 3)}"]),
            "MEDICAL_LICENSE": lambda lang: pick([of("ABFM", 1) + of(UPPER[:26], 1) + d(7), f"MD{d(6)}", d(10), d(7), f"{of(UPPER[:26], 2)}-{d(6)}", f"{of('ABCFGMPR', 1)}{of(UPPER[:26], 1)}{d(7)}"]),
            "PASSPORT": lambda lang: pick([d(9), of(UPPER[:26], 1) + d(8), of(UPPER[:26], 2) + d(7), "C" + of(UPPER, 8)]),
        }  # fmt: skip
