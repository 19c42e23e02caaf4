"""Figures and tables that have nothing to show say so in their own place, in every format and in the report."""

import sys
import types

import pandas as pd
import pytest

from understanding_bn.figures import drawing, nothing
from understanding_bn.report import page

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
    item = page._item(out / "made_up.png", tmp_path)
    assert (item["nothing"], item["image"], item["view"]) == (WHY, None, None)
    assert item["paragraphs"] == ["A paragraph."]


def test_a_table_without_values_is_its_header_and_one_sentence(drawn_from, tmp_path):
    out = drawn_from("tabulate", empty)
    assert pd.read_csv(out / "made_up.csv").columns.tolist() == ["norm", "value"]
    (tmp_path / "made_up.rst").write_text("A title\n\nA paragraph.\n")
    item = page._item(out / "made_up.md", tmp_path)
    assert (item["table"], item["notes"]) == (None, [WHY])


def test_a_figure_that_is_drawn_holds_no_such_sentence(drawn_from):
    out = drawn_from("draw", lambda histories: (nothing.picture("drawn"), {"": histories}))
    assert nothing.sentence_in(out / "made_up.png") is None
