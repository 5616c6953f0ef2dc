"""Hashed n-grams of a text, as `crates/semantics/src/classify/ngrams.rs` defines them."""

from functools import lru_cache

import numpy as np
import regex

BITS = 18
RUNS = (3, 4)
STRETCH = 2048
LONGEST_WORD = 64
PRIME, START, WORD = 0x100000001B3, 0xCBF29CE484222325, (1 << 64) - 1
LETTER = regex.compile(r"[\p{Alphabetic}\p{N}]")
SPACE = regex.compile(r"\p{White_Space}")
LETTERS = bytes(1 if LETTER.match(chr(c)) else 2 if SPACE.match(chr(c)) else 0 for c in range(128))


@lru_cache(maxsize=65536)
def sort_of(character: str) -> int:
    """1 a letter or digit, 2 a space, 0 anything else."""
    if character < "\x80":
        return LETTERS[ord(character)]
    return 1 if LETTER.match(character) else 2 if SPACE.match(character) else 0


def fnv(start: int, text: bytes) -> int:
    """FNV-1a over bytes."""
    for byte in text:
        start = ((start ^ byte) * PRIME) & WORD
    return start


def lowered(character: str) -> bytes:
    """Lower case; every digit is 0."""
    return b"0" if "0" <= character <= "9" else character.lower().encode("utf-8", "replace")


def words(text: str) -> list[bytes]:
    """Runs of letters and digits, and every other character that is no space by itself."""
    found: list[bytes] = []
    word = b""
    for character in text:
        sort = sort_of(character)
        if sort == 1:
            if len(word) >= LONGEST_WORD:
                found.append(word)
                word = b""
            word += lowered(character)
            continue
        if word:
            found.append(word)
            word = b""
        if sort == 0:
            found.append(lowered(character))
    if word:
        found.append(word)
    return found


@lru_cache(maxsize=1 << 20)
def of_word(word: bytes, runs: tuple[int, ...] = RUNS, bits: int = BITS) -> tuple[int, ...]:
    """Buckets of a word and of its runs of characters."""
    found = [fnv(fnv(START, b"\0"), word)]
    line = f" {word.decode()} "
    if len(line) > 3:
        for run in runs:
            first = fnv(START, bytes([run]))
            found += [fnv(first, line[i : i + run].encode()) for i in range(len(line) - run + 1)]
    return tuple(one >> (64 - bits) for one in found)


@lru_cache(maxsize=1 << 20)
def before(word: bytes) -> int:
    """The state of a pair's hash behind its first word."""
    return fnv(fnv(START, b"\1"), word + b" ")


@lru_cache(maxsize=1 << 21)
def of_pair(first: bytes, second: bytes, bits: int = BITS) -> int:
    """Bucket of two words that follow each other."""
    return fnv(before(first), second) >> (64 - bits)


def buckets(stretch: str, runs: tuple[int, ...] = RUNS, bits: int = BITS) -> np.ndarray:
    """The buckets that a stretch has, each once."""
    found: set[int] = set()
    last = b""
    for word in words(stretch):
        found.update(of_word(word, runs, bits))
        if last:
            found.add(of_pair(last, word, bits))
        last = word
    return np.fromiter(sorted(found), np.int64, len(found))


def stretches(text: str, most: int = STRETCH) -> list[str]:
    """Parts of at most so many bytes, cut behind a space where there is one."""
    found, rest = [], text.encode("utf-8", "replace")
    while len(rest) > most:
        end = most
        while rest[end] & 0xC0 == 0x80:
            end -= 1
        end = rest.rfind(b" ", 0, end) + 1 or end
        found.append(rest[:end].decode())
        rest = rest[end:]
    return [*found, rest.decode()]
