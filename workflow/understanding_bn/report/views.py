"""Interactive views for report.html: Vega-Lite specifications, made by Altair from a figure's CSV.

A view has native controls (lists, a slider), which a keyboard and a screen reader can use, and shows values on hover.
To add one, write a function from the figure's CSV to a chart and name it in VIEWS.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from understanding_bn.figures import style
from understanding_bn.summaries.training import main_network

EVERY = "all"
POINTS = 100  # shown of a curve: more than a page is wide enough for, and the page stays small
HEIGHT = 300  # pixels
LINE = {"strokeWidth": 1.5, "opacity": 0.8, "point": {"size": 40, "opacity": 0}}  # invisible points catch the pointer
NAMES = {"arch": "network", "init": "initialisation", "alpha": "α", "batch_size": "B", "minibatch": "mini-batch"}
alt.data_transformers.disable_max_rows()


def view(csv: Path) -> dict[str, Any] | None:
    """The Vega-Lite specification of the view that goes with a figure's CSV; None if it has none or no values."""
    make = VIEWS.get(csv.stem)
    if make is None or not csv.is_file():
        return None
    table = pd.read_csv(csv, keep_default_na=False, na_values=[""]).replace([np.inf, -np.inf], np.nan)
    norms = style.ordered(table["norm"])
    colours, names = style.colours(norms), {norm: style.label(norm) for norm in norms}
    chart = make(table.assign(colour=table["norm"].map(colours), norm=table["norm"].map(names)))
    return None if chart is None else _compact(chart.to_dict(), chart.data)


def scripts() -> str:
    """Vega, Vega-Lite and vega-embed as one script, for a page that must not load anything from the network."""
    import vl_convert

    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return vl_convert.javascript_bundle(vl_version=version).replace("</script", r"<\/script")


def curves(table: pd.DataFrame) -> alt.Chart | None:
    """Training curves: pick network, norm, α, B and seed. Begins with the largest α that batch norm was trained at."""
    table = table.dropna(subset=["accuracy"])
    if table.empty:
        return None
    run = ["arch", "init", "norm", "alpha", "batch_size", "epochs", "seed", "split"]
    table = pd.concat([_thinned(curve) for _, curve in table.groupby(run)])
    table = table.assign(accuracy=(100 * table["accuracy"]).round(2), done=(100 * table["fraction"]).round(2))
    batch = table[table["norm"] == style.label("batch")]
    arch, init, size = main_network(table)
    start = {"arch": arch, "init": init, "batch_size": size}
    start["alpha"] = float((batch if len(batch) else table)["alpha"].max())
    picks, filters = _picks(table, ["arch", "init", "batch_size", "norm", "alpha", "seed"], start)
    lines = alt.Chart(table.drop(columns=["fraction", "colour"])).mark_line(**LINE)
    lines = lines.encode(
        x=alt.X("done:Q", title="training done (%)", scale=alt.Scale(domain=[0, 100])),
        y=alt.Y("accuracy:Q", title="accuracy (%)", scale=alt.Scale(domain=[0, 100])),
        color=_norms(table),
        strokeDash=alt.StrokeDash("split:N", scale=alt.Scale(domain=["test", "train"]), legend=_dashes(None)),
        detail=["arch:N", "init:N", "alpha:Q", "batch_size:Q", "epochs:Q", "seed:N"],
        tooltip=_tooltip(*run[:-2], "seed", "split", "epoch", "accuracy"),
    )
    return _finish(lines, picks, filters, "Accuracy against training done, one line for each run, train and test.")


def steps(table: pd.DataFrame) -> alt.Chart | None:
    """Loss after a step along the gradient: pick norm, mini-batch and seed."""
    table = table[table["relative_loss"] > 0]
    if table.empty:
        return None
    picks, filters = _picks(table, ["norm", "minibatch", "seed"])
    scale = alt.Scale(type="log")
    lines = alt.Chart(table.drop(columns="colour")).mark_line(**LINE)
    lines = lines.encode(
        x=alt.X("step_size:Q", title="step size", scale=scale, axis=decades(table["step_size"])),
        y=alt.Y("relative_loss:Q", title="loss after / before", scale=scale, axis=decades(table["relative_loss"])),
        color=_norms(table),
        strokeDash=alt.StrokeDash("minibatch:N", legend=_dashes("mini-batch")),
        detail=["seed:N"],
        tooltip=_tooltip("norm", "seed", "minibatch", "step_size", "relative_loss"),
    )
    return _finish(lines, picks, filters, "Loss after one step along the gradient over that before, against its size.")


def along_the_step(table: pd.DataFrame) -> alt.Chart | None:
    """Channel means as the diverging update is applied: move along it; pick norm and seed."""
    table = table.assign(size=table["mean"].abs())
    table = table[table["size"] > 0].copy()
    if table.empty:
        return None
    layers = [f"layer {layer}" for layer in sorted(table["layer"].unique())]
    table["layer"] = "layer " + table["layer"].astype(str)
    picks, filters = _picks(table, ["norm", "seed"], {"seed": int(table["seed"].min())})
    shares = np.unique(table["percent"])
    spacing = float(np.diff(shares).min()) if len(shares) > 1 else 1.0
    first, last = float(shares[0]), float(shares[-1])
    slider = alt.binding_range(min=first, max=last, step=spacing, name="share of the update applied (%) ")
    picks.append(alt.param(name="pick_percent", value=last, bind=slider))
    filters.append("datum.percent == pick_percent")
    # The same axis all along the step, so that what moves are the points; a few channels near zero do not stretch it.
    limits = table["size"].quantile([0.01, 1])
    points = alt.Chart(table.drop(columns="colour")).mark_circle(size=28, opacity=0.8)
    points = points.encode(
        x=alt.X("channel:Q", title="channel"),
        y=alt.Y(
            "size:Q",
            title="|channel mean|",
            scale=alt.Scale(type="log", domain=[*map(float, limits)], clamp=True),
            axis=decades(limits),
        ),
        color=_norms(table),
        column=alt.Column("layer:N", title=None, sort=layers),
        tooltip=_tooltip("norm", "seed", "layer", "percent", "channel", "mean", "variance"),
    )
    points = points.properties(width=240).resolve_scale(x="independent")
    return _finish(points, picks, filters, "Absolute channel means at three layers, at a share of a diverging update.")


def _compact(spec: dict[str, Any], table: pd.DataFrame) -> dict[str, Any]:
    """The specification with its one table as CSV: a third as long as rows that each name every column."""
    (name,) = spec["datasets"]
    spec["datasets"][name] = table.to_csv(index=False)
    numbers = table.select_dtypes("number").columns
    spec["data"] = {"name": name, "format": {"type": "csv", "parse": dict.fromkeys(numbers, "number")}}
    return spec


def _thinned(curve: pd.DataFrame) -> pd.DataFrame:
    """At most POINTS rows of a curve, evenly spaced, its first and last among them."""
    curve = curve.sort_values("fraction")
    return curve.iloc[np.unique(np.linspace(0, len(curve) - 1, POINTS).round().astype(int))]


def _picks(
    table: pd.DataFrame, columns: list[str], start: dict[str, Any] | None = None
) -> tuple[list[alt.Parameter], list[str]]:
    """A list to pick from for every column with several values, and the conditions that follow the picks."""
    picks, conditions = [], []
    for column in columns:
        values = table[column].drop_duplicates().sort_values().tolist()
        if len(values) < 2:
            continue
        labels = [EVERY, *(value if isinstance(value, str) else f"{value:g}" for value in values)]
        bind = alt.binding_select(options=[EVERY, *values], labels=labels, name=f"{NAMES.get(column, column)} ")
        picks.append(alt.param(name=f"pick_{column}", value=(start or {}).get(column, EVERY), bind=bind))
        conditions.append(f"pick_{column} == '{EVERY}' || datum.{column} == pick_{column}")
    return picks, conditions


def _norms(table: pd.DataFrame) -> alt.Color:
    """The figures' colours for norms."""
    colours = table.drop_duplicates("norm").set_index("norm")["colour"].to_dict()
    return alt.Color("norm:N", title=None, scale=alt.Scale(domain=[*colours], range=[*colours.values()]))


def _tooltip(*columns: str) -> list[alt.Tooltip]:
    """The values shown on hover."""
    return [alt.Tooltip(column, title=NAMES.get(column, column.replace("_", " "))) for column in columns]


def decades(values: pd.Series) -> alt.Axis:
    """An axis for a logarithmic scale with some eight powers of ten."""
    low, high = np.floor(np.log10(values.min())), np.ceil(np.log10(values.max()))
    powers = np.arange(low, high + 1, max(1, np.ceil((high - low) / 8)))
    text = "format(datum.value, abs(log(datum.value)) > 11 ? '.0e' : '~g')"  # 100000 is 1e+5
    return alt.Axis(values=[float(10**power) for power in powers], labelExpr=text)


def _dashes(title: str | None) -> alt.Legend:
    """A legend of dashes shows lines."""
    return alt.Legend(title=title, symbolType="stroke", symbolSize=400)


def _finish(chart: alt.Chart, picks: list[alt.Parameter], conditions: list[str], description: str) -> alt.Chart:
    """Add the controls, the filters that follow them, and the description for screen readers."""
    for condition in conditions:
        chart = chart.transform_filter(condition)
    chart = chart.add_params(*picks).properties(description=description, height=HEIGHT)
    padding = {"left": 5, "right": 25, "top": 5, "bottom": 5}
    if chart.width is alt.Undefined:
        chart = chart.properties(width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    return chart.configure(background="white", padding=padding).configure_legend(orient="top")


VIEWS: dict[str, Callable[[pd.DataFrame], alt.Chart | None]] = {
    "fig1_accuracy": curves,
    "fig3_relative_loss": steps,
    "fig4_divergence_heatmap": along_the_step,
}
