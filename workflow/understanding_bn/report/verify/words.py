"""What a comparison of a run with its record says in the terminal."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from understanding_bn.messages import columns, plain
from understanding_bn.report.verify.nearness import RELATIVE, SPREADS, Column, Comparison, Near
from understanding_bn.report.verify.verdicts import Verdicts

WORDS = {
    Near.IDENTICAL: "identical",
    Near.ROUNDING: f"within {100 * RELATIVE:g} %",
    Near.SPREAD: f"within {SPREADS:g} sd over seeds",
    Near.DIFFERENT: "different",
}
HEAD = ("", "rows", "values", "identical", "relative, at most", "sd over seeds, at most", "")


def rules() -> str:
    """When a number counts as near, for people who read docs/verdicts.md."""
    meanings = {
        Near.IDENTICAL: "to the last digit that the file holds. NaN equals NaN, and an infinity itself.",
        Near.ROUNDING: "of the larger of the two numbers.",
        Near.SPREAD: "sd is the standard deviation over the record's seeds: the row's own or, where it is larger, the "
        "root mean square over the column. Positive columns are compared by their logarithms.",
        Near.DIFFERENT: "all else, and every text that changed, such as how a run failed.",
    }
    return "\n" + "".join(f"- **{WORDS[near].capitalize()}**: {meaning}\n" for near, meaning in meanings.items())


def table(compared: Sequence[Comparison], different: Sequence[str], verdicts: Verdicts) -> str:
    """A line for each table, and one for all checks of claims: how many values are identical, and how near they are."""
    rows = []
    for each in compared:
        total, same = each.counts.total(), each.counts[Near.IDENTICAL]
        spreads = [column.spreads for column in each.columns if not math.isnan(column.spreads)]
        relative = max((column.relative for column in each.columns), default=0.0)
        numbers = f"{each.rows:,}", f"{total:,}", f"{same:,}", _short(relative), _short(max(spreads, default=math.nan))
        decides = each.near != Near.DIFFERENT or each.name in different
        rows.append((each.name, *numbers, WORDS[each.near] if decides else "means, which decide nothing"))
    checks, same = verdicts.near.total(), verdicts.near[Near.IDENTICAL]
    words = WORDS | {Near.SPREAD: "within the record's intervals"}
    nearness = words[max(verdicts.near, default=Near.IDENTICAL)]
    rows.append(("checks of claims", f"{checks:,}", f"{checks:,}", f"{same:,}", "", "", nearness))
    return columns(HEAD, rows)


def details(compared: Sequence[Comparison], lost: Sequence[str], verdicts: Verdicts) -> Iterator[str]:
    """Lines on every column that is not identical, on what one side lacks, and on every claim that changed."""
    for each in compared:
        if each.near:
            yield f"{each.name}"
        if each.missing or each.added:
            yield f"  rows only in the record: {each.missing:,}, only in the run: {each.added:,}"
        yield from (f"  {column.name}: {_column(column)}" for column in each.columns if column.near)
    yield from (f"{name}: in the record and not in the run" for name in lost)
    yield from (f"claim {claim}: {words}" for claim, words in verdicts.changed.items())


def _column(column: Column) -> str:
    counted = [f"{count:,} {WORDS[near]}" for near, count in zip(Near, column.counts, strict=True) if count]
    spreads = "" if math.isnan(column.spreads) else f", {_short(column.spreads)} sd over seeds"
    return f"{', '.join(counted)}; at most {_short(column.relative)} relative{spreads}"


def _short(value: float) -> str:
    """Two digits; a dash where nothing differs or nothing is known."""
    return "–" if value == 0 or math.isnan(value) else "infinite" if math.isinf(value) else plain(value, ".2g")


def conclusion(compared: Sequence[Comparison], different: Sequence[str], verdicts: Verdicts) -> str:
    """One plain sentence. `different`: the tables that differ, and those that the run lacks."""
    means = sum(each.counts[Near.DIFFERENT] for each in compared if each.name not in different)  # they decide nothing
    counts = sum((each.counts for each in compared), Counter[Near]())
    shown = {WORDS[near]: counts[near] - means * (near == Near.DIFFERENT) for near in Near} | {"means of such": means}
    numbers = ", ".join(f"{count:,} {word}" for word, count in shown.items() if count)
    if not different and not verdicts.changed:
        return f"The same: {verdicts.total} of {verdicts.total} verdicts; of {counts.total():,} values {numbers}."
    named = {"claims": verdicts.changed, "tables": different}
    parts = [f"{what} {', '.join(names)}" for what, names in named.items() if names]
    return f"Differs: {'; '.join(parts)}. Of {counts.total():,} values {numbers}."
