"""What docs/open-questions.md says in plain words: sentences that follow the kept records, whichever way they fall."""

from pathlib import Path

import pandas as pd

from understanding_bn.claims.statistics import bootstrap_interval
from understanding_bn.figures.alpha_batch_grid import MOVES
from understanding_bn.figures.style import label
from understanding_bn.report.open_questions import COLUMNS, RELATED, best_cell, change, markdown, sound_cells

CLOSE = 1.0  # points of test accuracy that are no difference to speak of
_MOVES = dict(zip(MOVES, ("α", "B", "both, at the same α/B,"), strict=True))


def noise_or_steps(folder: Path) -> str:
    """Q1: how accuracy moved with α, B and both, and whether it moved with the noise."""
    table = pd.read_csv(folder / "figures" / "alpha_batch_grid_summary.csv")
    lines = []
    for norm, here in table.groupby("norm", sort=False):
        wide = here[here["change"].notna()].set_index(["move", "quantity"])
        accuracy = {move: wide.loc[(move, "test_accuracy")] for move in _MOVES if (move, "test_accuracy") in wide.index}
        if len(accuracy) < len(_MOVES):
            continue
        said = [f"{text} {_verb(accuracy[move])} ({change(accuracy[move])})" for move, text in _MOVES.items()]
        line = f"**{_with(norm)}**, test accuracy and a doubling, in points: {'; '.join(said)}."
        *single, both = (abs(row["change"]) for row in accuracy.values())
        if not any(_sign(accuracy[move]) for move in MOVES[:2]):
            line += " Neither alone moves it beyond chance, so that the seeds do not tell whether their ratio decides."
        elif both < min(single):
            line += " The ratio decides more than either alone: moving both changes less than moving one."
        else:
            line += " The ratio does not decide: moving both changes no less than moving one."
        lines.append(f"{line} {_follows(wide)}")
    return "\n" + "\n\n".join(lines) + "\n"


def _follows(wide: pd.DataFrame) -> str:
    """Whether accuracy and the noise of an update rise and fall together over the moves that change both."""
    signs = []
    for move in _MOVES:
        if (move, "log2 update_noise") in wide.index:
            pair = [_sign(wide.loc[(move, name)]) for name in ("test_accuracy", "log2 update_noise")]
            if all(pair):
                signs.append(pair[0] * pair[1])
    if not signs:
        return "No move changed both accuracy and the measured noise of an update beyond chance."
    if len(set(signs)) > 1:
        return (
            "Accuracy does not follow the measured noise of an update: one move changes both the same way, "
            "another in opposite ways."
        )
    how = "better" if signs[0] > 0 else "worse"
    return f"More noise of an update goes with {how} accuracy, in every move that changes both ({len(signs)})."


def where_noise_is(folder: Path) -> str:
    """Q2: in how many architectures BN raises each kind of noise, and what goes with the gap."""
    table = pd.read_csv(folder / "figures" / "noise_by_architecture.csv")
    rows = {name: [name] for name in COLUMNS.values()}
    for fraction in (0, 1):
        for column, name in COLUMNS.items():
            wide = table[table["fraction"] == fraction].pivot_table(
                index=["arch", "seed"], columns="norm", values=column
            )
            if not {"batch", "none"} <= set(wide.columns):
                rows[name] += ["–", "–"]
                continue
            wide = wide[["batch", "none"]].dropna()
            more = (wide["batch"] > wide["none"]).groupby("arch")
            raised, lowered = int(more.all().sum()), int((~more.any()).sum())
            rows[name] += [f"{raised} of {more.ngroups}", f"{lowered} of {more.ngroups}"]
    head = ["batch norm beside none", "raises it, before", "lowers it, before", "raises it, at the end"]
    note = "Networks in which every seed says so."
    lines = [markdown([*head, "lowers it, at the end"], list(rows.values()), note).strip()]
    related = pd.read_csv(folder / "figures" / "noise_by_architecture_summary.csv")
    related = related[(related["gap"] == "loss_gap") & related["low"].notna()]
    for norm, here in related[related["norm"].isin(["all", "batch", "none"])].groupby("norm", sort=False):
        clear = here[(here["low"] > 0) | (here["high"] < 0)]
        found = [f"{RELATED[row.quantity]} (ρ = {row.rho:.2f})" for row in clear.itertuples()]
        where = f"all {here['cells'].max()} cells" if norm == "all" else f"cells {_with(norm).lower()}"
        what = ", ".join(found) if found else "none"
        lines.append(f"With the gap, over {where}, go beyond chance, of {len(here)} quantities tried: {what}.")
    return "\n" + "\n\n".join(lines) + "\n"


def best_without(folder: Path) -> str:
    """Q3: the best cell without BN, whatever its α and B, beside the best with it."""
    table = pd.read_csv(folder / "figures" / "alpha_batch_grid.csv")
    cells = sound_cells(table)
    without, batch = best_cell(cells, "none"), best_cell(cells, "batch")
    if without is None or batch is None:
        return "\nNo cell without failures in every seed with BN and without: the question is open here.\n"
    _, alpha, size = without
    difference = (cells[without] - cells[batch]).to_numpy()
    interval = bootstrap_interval(difference)
    if interval is None:
        return "\nOne seed has no interval: the question is open here.\n"
    low, high = interval
    smallest = " It is the smallest B of the grid." if size == table["batch_size"].min() else ""
    return (
        f"\n{_does_without(low, high)} The best cell without batch norm, α = {alpha:g} and B = {size}, ends "
        f"{difference.mean():+.2f} points [{low:+.2f}, {high:+.2f}] from batch norm at its best.{smallest} "
        "Both were chosen on the test images that they are compared on, which favours neither.\n"
    )


def _does_without(low: float, high: float) -> str:
    """Yes or no where the whole interval of the difference says so: that few seeds show none is no answer."""
    if low >= 0:
        return "**Yes, here.**"
    if low >= -CLOSE:
        return f"**Yes, to within {CLOSE:g} point.**"
    return "**No.**" if high < 0 else "**Open here:** the seeds are too few to tell."


def conditioning(folder: Path) -> str:
    """Q4: how far growth of the condition number stays below Theorem 1's, and what BN does to it."""
    table = pd.read_csv(folder / "figures" / "jacobian_conditioning_summary.csv", keep_default_na=False, na_values=[""])
    full = table[table["condition_slope"].notna()]
    if full.empty:
        return "\nNo network's Jacobian had full rank.\n"
    worst = full["condition_slope"].max()
    share = full["condition_theory"].max() / worst
    lines = [
        f"**Not as Theorem 1 has it.** No network of full rank adds more than {worst:.2f} decades per layer, "
        f"{share:.0f} times less than a product of Gaussian matrices."
    ]
    for shortcut, where in (("none", "Without shortcuts"), ("projection", "With shortcuts")):
        for mode in ("train", "eval"):
            here = full[full["shortcut"] == shortcut]
            batch = here[(here["norm"] == "batch") & (here["bn_mode"] == mode)].set_index("init")
            none = here[here["norm"] == "none"].set_index("init")
            both = [init for init in batch.index if init in none.index]
            lower = [i for i in both if batch.loc[i, "condition_high"] < none.loc[i, "condition_low"]]
            higher = [i for i in both if batch.loc[i, "condition_low"] > none.loc[i, "condition_high"]]
            if both:
                lines.append(
                    f"{where}, batch norm in {mode} mode grows more slowly than none in {len(lower)}, faster in "
                    f"{len(higher)} of {len(both)} initialisations (intervals apart)."
                )
    lost = table[table["condition_slope"].isna()]["init"].drop_duplicates()
    if len(lost):
        lines.append(f"Without full rank in some of these networks: {', '.join(lost).replace('_', '-')}.")
    return "\n" + " ".join(lines) + "\n"


def _with(norm: str) -> str:
    return "Without norm" if norm == "none" else f"With {label(norm)}"


def _sign(row: pd.Series) -> int:
    """1 or −1 where the whole interval lies on one side of zero, else 0."""
    return int(row["low"] > 0) - int(row["high"] < 0)


def _verb(row: pd.Series) -> str:
    return {1: "raises it", -1: "lowers it", 0: "does not move it beyond chance"}[_sign(row)]
