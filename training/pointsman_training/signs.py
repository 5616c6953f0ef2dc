"""How the word of a piece is written, as `crates/semantics/src/classify/context.rs` tells it."""

import numpy as np

from .ngrams import sort_of

SIGNS = 14
LONGEST_WORD = 64
UNPARTED = "\u2e80"
OPENING = "([{<\"'«“‘「『（"


def is_letter(character: str) -> bool:
    """Alphanumeric, as the engine has it."""
    return sort_of(character) == 1


def is_space(character: str) -> bool:
    """White space, as the engine has it."""
    return sort_of(character) == 2


def word_at(text: str, start: int) -> tuple[int, int]:
    """The run of letters and digits that the character at `start` is in; the character alone where it is none."""
    if start >= len(text) or not is_letter(text[start]):
        return start, start
    first = start
    while first > max(0, start - LONGEST_WORD) and is_letter(text[first - 1]):
        first -= 1
    last = first
    while last < min(len(text), first + LONGEST_WORD) and is_letter(text[last]):
        last += 1
    return first, last


def before(text: str, start: int) -> str:
    """The last character in front that is no blank; none where there is none near."""
    for at in range(start - 1, max(start - 1 - LONGEST_WORD, -1), -1):
        if text[at] not in " \t":
            return text[at]
    return ""


def of_word(word: str) -> list[bool]:
    """What is seen of a word by itself."""
    capitals = sum(one.isupper() for one in word)
    alphabetic = sum(one.isalpha() for one in word)
    digits = sum("0" <= one <= "9" for one in word)
    every = capitals >= 2 and capitals == alphabetic
    first = bool(word) and word[0].isupper()
    return [
        first, every, not every and capitals > first, digits > 0,
        digits > 0 and digits == len(word), not word, len(word) <= 2,
    ]  # fmt: skip


def signs(text: str, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """`[pieces, 14]`; places are in characters."""
    out = np.zeros((len(start), SIGNS), np.float32)
    word, seen, own = (0, 0), -1, [False] * 7
    for at, (a, b) in enumerate(zip(start.tolist(), end.tolist(), strict=True)):
        if not word[0] <= a < max(word[1], seen):
            word = word_at(text, a)
            own, seen = of_word(text[word[0] : word[1]]), max(word[1], a + 1)
        last = max(word[1], seen)
        previous, earlier = text[a - 1 : a] if a else "", before(text, a)
        out[at] = [
            not previous or is_space(previous), *own[:6], earlier in ("", "\n"),
            not earlier or earlier in ".!?:\n", text[a : a + 1] >= UNPARTED, b < last, own[6],
            bool(previous) and previous in OPENING, text[last : last + 1] == ".",
        ]  # fmt: skip
    return out
