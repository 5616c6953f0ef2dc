"""Takes whole families, templates and questions out of training for choices and calibration."""

from hashlib import blake2b

from .rows import Row

SHARES = {"arena-hard-v0.1": 0.4, "pointsman-prompts": 0.3, "awesome-chatgpt-prompts": 0.2}

PLAIN_SHARE = 0.06
"""Of what is neither an attack nor harmful."""


def draw(key: str) -> float:
    """A number in 0..1 that depends on the key alone."""
    return int.from_bytes(blake2b(key.encode(), digest_size=6).digest(), "big") / 2**48


def share_of(row: Row) -> float:
    """How much of a row's kind goes to validation."""
    if row.source in SHARES:
        return SHARES[row.source]
    attack = row.targets.get("jailbreak", [0.0])[0] == 1.0
    harmful = row.targets.get("harmful", [0.0])[0] == 1.0
    return 0.12 if attack or harmful else PLAIN_SHARE


def divide(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Training rows and validation rows; a text is on one side only."""
    held = {row.text for row in rows if draw(row.group) < share_of(row)}
    train = [row for row in rows if row.text not in held]
    return train, [row for row in rows if row.text in held]
