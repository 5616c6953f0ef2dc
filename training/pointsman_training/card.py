"""Prints what `evaluate` measured as tables for a model card: a line a measure, a column a stage."""

import argparse
import json
from pathlib import Path

STAGES = ("n-grams", "encoder", "joined", "cascade")


def table(found: list[dict]) -> list[str]:
    """One line for each head and measure; bounds are those of the last stage that has the figure."""
    lines = ["| head | measure | rows | n-grams | encoder | joined | cascade | 95 % |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    known: dict[tuple[str, str], dict[str, dict]] = {}
    for one in found:
        known.setdefault((one["head"], one["measure"]), {})[one["stage"]] = one
    for (head, measure), stages in known.items():
        last = list(stages.values())[-1]
        last = stages.get("joined", last)
        values = {**stages}
        for stage, one in stages.items():
            if stage not in STAGES:
                values["joined"] = one
        cells = [f"{values[s]['value']:.3f}" if s in values else "–" for s in STAGES]
        bounds = f"{last['low']:.3f}–{last['high']:.3f}" if last["low"] != last["high"] else "–"
        extra = "" if set(stages) & set(STAGES) else f" ({last['stage']})"
        lines.append(
            f"| {head} | {measure}{extra} | {last['rows']} | {' | '.join(cells)} | {bounds} |"
        )
    return lines


def main() -> None:
    """Reads `X.dev.json`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("figures", type=Path)
    given = parser.parse_args()
    print("\n".join(table(json.loads(given.figures.read_text(encoding="utf-8")))))


if __name__ == "__main__":
    main()
