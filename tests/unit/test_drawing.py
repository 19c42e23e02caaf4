"""What drawing writes, what it refuses, and the colours of norms."""

import pandas as pd
import pytest
from made_up import moments_table
from PIL import Image
from records import DATA, finished, job, training

from understanding_bn.errors import UserError
from understanding_bn.experiment.jobs import Measure
from understanding_bn.figures import (
    drawing,
    style,
)
from understanding_bn.measurements.gradient_structure import GradientStructure


def test_draw_writes_four_formats_and_nothing_else(tmp_path):
    source = tmp_path / "values.parquet"
    moments_table().to_parquet(source)
    drawing.draw("fig5_channel_moments", {"channel_moments": [source]}, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    stem = "fig5_channel_moments"
    assert names == [f"{stem}.csv", f"{stem}.pdf", f"{stem}.png", f"{stem}.svg", f"{stem}_summary.csv"]
    with Image.open(tmp_path / "out" / f"{stem}.png") as image:
        assert image.width == pytest.approx(200 * style.WIDTH, abs=2)
    assert (tmp_path / "out" / f"{stem}.pdf").read_bytes().startswith(b"%PDF")
    assert b"<svg" in (tmp_path / "out" / f"{stem}.svg").read_bytes()


def test_tables_that_a_figure_is_not_drawn_from_are_refused(tmp_path):
    source = tmp_path / "values.parquet"
    moments_table().to_parquet(source)
    for tables in ({"histories": [source]}, {"channel_moments": [source], "histories": [source]}, {}):
        with pytest.raises(UserError, match="fig5_channel_moments: is drawn from channel_moments; got "):
            drawing.draw("fig5_channel_moments", tables, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_tables_made_from_different_images_are_not_drawn_together(tmp_path):
    train = job()
    shared = {"optimiser": train.optimiser, "augmentation": train.augmentation}
    noise = GradientStructure(at=[1.0], minibatches=2)
    measure = Measure(measurement="gradient_structure", network=train.cell, options=noise, seeds=train.seeds, **shared)
    rows, inputs = pd.DataFrame({"seed": train.seeds}), {}
    for number, (made, more) in enumerate(((train, {"training": training(train.seeds)}), (measure, {}))):
        inputs[made.table] = [finished(tmp_path, made, rows, DATA | {"sha256": str(number) * 64}, **more)]
    with pytest.raises(UserError, match="made from other images"):
        drawing.draw("noise_along_training", inputs, tmp_path / "out")


def test_a_norm_has_the_same_colour_whatever_it_is_drawn_with():
    everything = [*style.COLOURS]
    for norms in ([norm] for norm in everything):
        assert style.colours(norms).items() <= style.colours([*everything, "mine"]).items()
    assert len(set(style.colours([*everything, "mine", "yours"]).values())) == len(everything) + 2


def test_a_norm_of_ones_own_gets_a_colour_and_a_name():
    palette = style.colours(["batch", "mine", "yours"])
    assert len(set(palette.values())) == 3
    assert style.label("mine") == "mine norm"
    assert style.ordered(pd.Series(["mine", "none", "batch"])) == ["batch", "none", "mine"]


def test_unknown_figures_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such figure"):
        drawing.draw("fig99", {"histories": [tmp_path / "x"]}, tmp_path)
