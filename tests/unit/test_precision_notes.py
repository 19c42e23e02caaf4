"""The precision of training stands below every figure and table whose networks were not trained in float32."""

from pathlib import Path

import pandas as pd
import pytest
from training_runs import job

from understanding_bn import record
from understanding_bn.experiment.jobs import Measure
from understanding_bn.figures import drawing
from understanding_bn.report import items
from understanding_bn.stages import measure
from understanding_bn.stages import train as stage

SENTENCE = "The networks were trained in bfloat16; what is measured of them is in float32 or float64."


@pytest.fixture(scope="module")
def trained(digits_path, tmp_path_factory):
    """Histories of training in either precision, and gradients of the one in bfloat16."""
    folder = tmp_path_factory.mktemp("precisions")
    for precision in ("float32", "bfloat16"):
        each = job([0], epochs=1).model_copy(update={"precision": precision})
        stage.run(each, digits_path, folder / precision / each.folder, folder / "state", 1, "cpu")
    spec = {"measurement": "gradient_structure", "network": each.cell, "seeds": [0], "optimiser": each.optimiser}
    spec |= {"augmentation": each.augmentation, "options": {"at": [1], "minibatches": 2, "samples": 2}}
    weights = folder / "bfloat16" / each.folder / "weights.pt"
    measure.run(Measure.model_validate(spec), digits_path, weights, folder / "measured", 1, "cpu")
    return folder


def test_a_measurement_says_what_its_networks_were_trained_in(trained):
    run = record.read(trained / "measured/run.json")
    assert (run.dtype, run.trained_in, run.precision) == ("float32", "bfloat16", "bfloat16")


@pytest.mark.parametrize(("precisions", "note"), [(["float32"], None), (["bfloat16"], SENTENCE)])
def test_the_note_below_a_figure(trained, precisions, note, tmp_path):
    paths = [path for each in precisions for path in (trained / each).rglob("history.parquet")]
    drawing.draw("fig1_accuracy", {"histories": paths}, tmp_path)
    captions = Path(__file__).parents[2] / "workflow/report"
    assert items.item(tmp_path / "fig1_accuracy.png", captions)["notes"] == ([note] if note else [])


def test_both_precisions_are_named():
    runs = [made("float32"), made("bfloat16"), None]
    assert drawing.precision_note(runs).startswith("The networks were trained in bfloat16 and float32;")
    assert drawing.precision_note([made("float32")]) is None
    assert drawing.precision_note([]) is None


def made(precision):
    return record.Record.model_construct(stage="train", dtype=precision, trained_in=None)


def test_a_table_has_it_as_a_line(trained, tmp_path, monkeypatch):
    paths = list((trained / "bfloat16").rglob("history.parquet"))
    monkeypatch.setattr(drawing, "_must_fit", lambda *arguments: None)
    from understanding_bn.figures import table1_gradient_sums

    monkeypatch.setattr(
        table1_gradient_sums, "tabulate", lambda histories: (pd.DataFrame({"a": [1]}), "| a |\n|---|\n| 1 |")
    )
    drawing.draw("table1_gradient_sums", {"histories": paths}, tmp_path)
    assert (tmp_path / "table1_gradient_sums.md").read_text() == f"| a |\n|---|\n| 1 |\n{SENTENCE}\n"
    table, notes = items._table(tmp_path / "table1_gradient_sums.md")
    assert (table["rows"], notes) == ([["1"]], [SENTENCE])
