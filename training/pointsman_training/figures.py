"""Numbers of a report."""

from collections.abc import Sequence
from dataclasses import dataclass

from .metrics import Measure, interval


@dataclass
class Figure:
    """One number with its bounds."""

    head: str
    measure: str
    stage: str
    rows: int
    value: float
    low: float
    high: float

    def line(self) -> str:
        """A row of the report."""
        shown = f"{self.value:.3f} | {self.low:.3f}–{self.high:.3f}"
        return f"| {self.head} | {self.measure} | {self.stage} | {self.rows} | {shown} |"


def figure(
    head: str, measure: str, stage: str, how: Measure, groups: Sequence[str] | int
) -> Figure:
    """Measures with bounds; `groups` is a number of rows or a name for each."""
    rows = groups if isinstance(groups, int) else len(groups)
    return Figure(head, measure, stage, rows, *interval(how, groups))


def plain(head: str, measure: str, stage: str, rows: int, value: float) -> Figure:
    """A number without bounds."""
    return Figure(head, measure, stage, rows, value, value, value)
