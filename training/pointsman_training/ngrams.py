"""Hashed n-grams of a text, exactly as FORMAT.md defines them."""

from functools import lru_cache

import numpy as np

BITS = 18
CHARACTERS = (3, 4)
P = np.uint64(0x9E3779B97F4A7C15)
Q = np.uint64(0xC2B2AE3D27D4EB4F)
KIND = np.uint64(0xD6E8FEB86659FD93)
INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 2**64))
SPACES = [(0, 0x20), (0x7F, 0x7F), (0x85, 0x85), (0xA0, 0xA0), (0x2000, 0x200F), (0x2028, 0x202F),
          (0x205F, 0x206F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)]  # fmt: skip
MARKS = [(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E), (0xA1, 0xA9), (0xAB, 0xB4),
         (0xB6, 0xB9), (0xBB, 0xBF), (0x2010, 0x2027), (0x2030, 0x205E), (0x3001, 0x303F),
         (0xFF01, 0xFF0F), (0xFF1A, 0xFF20), (0xFF3B, 0xFF40), (0xFF5B, 0xFF65)]  # fmt: skip


@lru_cache
def classes() -> np.ndarray:
    """For each code point: 0 letter, 1 mark, 2 space."""
    table = np.zeros(0x110000, np.uint8)
    for value, ranges in ((1, MARKS), (2, SPACES)):
        for first, last in ranges:
            table[first : last + 1] = value
    return table


@lru_cache
def powers(length: int) -> tuple[np.ndarray, np.ndarray]:
    """P^i and P^-i for i below `length`."""
    with np.errstate(over="ignore"):
        up = np.cumprod(np.concatenate([[np.uint64(1)], np.full(length - 1, P, np.uint64)]))
        down = np.cumprod(np.concatenate([[np.uint64(1)], np.full(length - 1, INVERSE, np.uint64)]))
    return up, down


def prefixes(codes: np.ndarray) -> np.ndarray:
    """`H[j] - H[i] * P^(j-i)` is the hash of codes i..j."""
    up, down = powers(1 << int(len(codes) + 2).bit_length())
    summed = np.cumsum((codes + np.uint64(1)) * down[1 : len(codes) + 1])
    return np.concatenate([[np.uint64(0)], summed * up[1 : len(codes) + 1]])


def bucket(hashes: np.ndarray, kind: int) -> np.ndarray:
    """Where a hash lies in the table."""
    mixed = hashes + np.uint64(kind) * KIND
    mixed = mixed ^ (mixed >> np.uint64(32))
    return ((mixed * P) >> np.uint64(64 - BITS)).astype(np.int64)


def buckets(text: str) -> np.ndarray:
    """The bucket of every feature of a text, repeated as often as it is there."""
    codes = np.frombuffer(text.lower().encode("utf-32-le", "replace"), np.uint32).copy()
    codes[(codes >= 48) & (codes <= 57)] = 48
    sort = classes()[codes]
    start = (sort == 1) | ((sort == 0) & np.concatenate([[True], sort[:-1] != 0]))
    start = np.nonzero(start)[0] if len(codes) else np.zeros(0, np.int64)
    if not len(start):
        return np.zeros(0, np.int64)
    others = np.concatenate([np.nonzero(sort != 0)[0], [len(codes)]])
    after = others[np.searchsorted(others, start)]
    end = np.where(sort[start] == 1, start + 1, after)
    with np.errstate(over="ignore"):
        up, _ = powers(1 << int(len(codes) + 2).bit_length())
        whole = prefixes(codes.astype(np.uint64))
        tokens = whole[end] - whole[start] * up[end - start]
        found = [bucket(tokens, 1), bucket(tokens[:-1] * Q + tokens[1:], 2)]
        run = sort[start] == 0
        found += characters(codes, start[run], end[run])
    return np.concatenate(found)


def characters(codes: np.ndarray, start: np.ndarray, end: np.ndarray) -> list[np.ndarray]:
    """Buckets of the character n-grams of runs of letters, each padded with a space on both sides."""
    if not len(start):
        return []
    padded = end - start + 2
    offset = np.concatenate([[0], np.cumsum(padded)])
    line = np.full(offset[-1], 0x20, np.uint64)
    inside = np.arange(offset[-1]) - np.repeat(offset[:-1], padded)
    letters = (inside > 0) & (inside < np.repeat(padded, padded) - 1)
    line[letters] = codes[np.repeat(start, padded)[letters] + inside[letters] - 1]
    left = np.repeat(padded, padded) - inside
    whole, (up, _) = prefixes(line), powers(4096)
    found = []
    for n in CHARACTERS:
        at = np.nonzero(left >= n)[0]
        found.append(bucket(whole[at + n] - whole[at] * up[n], n + 8))
    return found
