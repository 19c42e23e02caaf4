"""Figures and tables that have nothing to show say so in their own place, in every format and in the report."""

import sys
import types

import pandas as pd
import pytest
from measuring import LEAST, options
from records import DATA, finished, job

from understanding_bn import files
from understanding_bn.cell import Network
from understanding_bn.claims import judging
from understanding_bn.experiment.jobs import Measure
from understanding_bn.figures import drawing, nothing
from understanding_bn.report import items
from understanding_bn.settings import Trained
from understanding_bn.stages import measure

WHY = "Every network diverged, so there is nothing to measure & <show>."


@pytest.fixture
def drawn_from(tmp_path, monkeypatch):
    """Draws a made-up figure or table, whose function is given, to tmp_path/out."""

    def draw(kind, function):
        module = types.ModuleType("understanding_bn.figures.made_up")
        module.__spec__ = types.SimpleNamespace(name=module.__name__)
        setattr(module, kind, function)
        module.COLUMNS = ["norm", "value"]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        pd.DataFrame({"seed": [0]}).to_parquet(tmp_path / "values.parquet")
        drawing.draw("made_up", {"histories": [tmp_path / "values.parquet"]}, tmp_path / "out")
        return tmp_path / "out"

    return draw


def empty(histories):
    raise nothing.NothingToShow(WHY)


def test_a_figure_without_values_writes_all_its_files_and_one_sentence(drawn_from, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "made_up_summary.csv").write_text("of an earlier drawing")
    out = drawn_from("draw", empty)
    assert {path.name for path in out.iterdir()} == {f"made_up.{suffix}" for suffix in ("csv", "png", "svg", "pdf")}
    assert pd.read_csv(out / "made_up.csv").columns.tolist() == ["norm", "value"]
    assert nothing.sentence_in(out / "made_up.png") == WHY
    (tmp_path / "made_up.rst").write_text("A title\n\nA paragraph.\n")
    item = items.item(out / "made_up.png", tmp_path)
    assert (item["nothing"], item["image"], item["view"]) == (WHY, None, None)
    assert item["paragraphs"] == ["A paragraph."]


def test_a_table_without_values_is_its_header_and_one_sentence(drawn_from, tmp_path):
    out = drawn_from("tabulate", empty)
    assert pd.read_csv(out / "made_up.csv").columns.tolist() == ["norm", "value"]
    (tmp_path / "made_up.rst").write_text("A title\n\nA paragraph.\n")
    item = items.item(out / "made_up.md", tmp_path)
    assert (item["table"], item["notes"]) == (None, [WHY])


def test_a_figure_that_is_drawn_holds_no_such_sentence(drawn_from):
    out = drawn_from("draw", lambda histories: (nothing.picture("drawn"), {"": histories}))
    assert nothing.sentence_in(out / "made_up.png") is None


def test_claims_read_measurements_of_no_network(tmp_path):
    """They are not judged, as if the measurement had not been made."""
    cell = job().cell
    network = Network(**{factor: getattr(cell, factor) for factor in Network.model_fields})
    inputs = {}
    for name in LEAST:
        trained = isinstance(options(name), Trained)
        facts = {"optimiser": job().optimiser, "augmentation": job().augmentation, "seeds": (0,)}
        made = Measure(measurement=name, network=cell if trained else network, options=options(name), **facts)
        inputs[name] = [finished(tmp_path, made, measure.no_rows(name, trained), DATA)]
    judging.run(inputs, tmp_path / "claims.json", tmp_path / "followups.json")
    for path in (tmp_path / "claims.json", tmp_path / "followups.json"):
        assert {claim["verdict"] for claim in files.read_json(path)} == {"not run"}
