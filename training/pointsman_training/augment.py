"""Small harmless changes of a text, so that no head hangs on the exact wording."""

import random

BEFORE = [
    "Hi, ", "Hello! ", "hey ", "Please ", "Quick question: ", "Thanks in advance. ",
    "Could you help me with this? ", "Good morning. ", "Dear assistant, ", "Ok, next: ", "So, ",
    "I hope you are well. ", "Sorry to bother you, ", "One more thing. ", "Hola. ", "Bonjour, ",
    "Guten Tag! ", "I am working on something. ", "For my project: ", "Just curious, ",
]  # fmt: skip
AFTER = [
    " Thanks!", " thank you", " Please.", " Take your time.", " I appreciate it.", " cheers",
    " Answer briefly.", " Explain step by step.", " Have a nice day.", " :)", " Danke!", " Merci.",
    " Keep it short please.", " That would be great.", "\n\nBest,\nSam", " ok?", "...", " lovely",
]  # fmt: skip


def typos(text: str, draw: random.Random) -> str:
    """Swaps, drops or doubles a few letters."""
    letters = list(text)
    for _ in range(max(1, len(letters) // 60)):
        at = draw.randrange(len(letters))
        if not letters[at].isalpha() or at + 1 >= len(letters):
            continue
        how = draw.random()
        if how < 0.4:
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
        elif how < 0.7:
            letters[at] = ""
        else:
            letters[at] *= 2
    return "".join(letters)


def change(text: str, draw: random.Random) -> str:
    """One change, or two."""
    how = draw.random()
    if how < 0.3:
        text = draw.choice(BEFORE) + text
    elif how < 0.55:
        text = text + draw.choice(AFTER)
    elif how < 0.75:
        text = typos(text, draw)
    elif how < 0.85:
        text = text.lower()
    elif how < 0.9:
        text = text.upper()
    else:
        text = draw.choice(BEFORE) + typos(text, draw) + draw.choice(AFTER)
    return text
