"""Results that are not what their job wrote are refused, before a figure or a verdict rests on them."""

import re
import shutil

import pandas as pd
import pytest
from damage import flip_a_bit
from records import DATA, finished, job, training

from understanding_bn import tables
from understanding_bn.claims.results import Results
from understanding_bn.errors import UserError
from understanding_bn.experiment.jobs import Matrices
from understanding_bn.figures import drawing


@pytest.fixture
def results(tmp_path):
    """The folder of a preset."""
    return tmp_path / "results/quick"


def trained(results, norm="batch", seeds=(0,), rows=None, data=None):
    """What a training job of these seeds left; `rows`: the seeds in its table, where they are others."""
    made = job(seeds, norm=norm)
    table = pd.DataFrame(made.cell.factors | {"epoch": 1, "seed": rows or seeds})
    return finished(results, made, table, DATA | (data or {}), training=training(seeds))


def test_what_a_job_wrote_is_read(results):
    paths = [trained(results, norm) for norm in ("batch", "none")]
    assert tables.read(paths)["norm"].tolist() == ["batch", "none"]


def test_one_flipped_bit_is_found(results):
    path = trained(results)
    flip_a_bit(path)
    with pytest.raises(UserError, match=r"history.parquet: not the file that its job wrote.*remove .*seeds-0 and run"):
        tables.read([path])


def test_the_history_of_another_cell_is_refused(results):
    path, other = (trained(results, norm) for norm in ("batch", "none"))
    shutil.copy(other, path)
    with pytest.raises(UserError, match="not the file that its job wrote"):
        tables.read([path])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"norm": "batch"}, {"norm": "none"}),
        ({"norm": "batch-final"}, {"norm": "batch"}),  # a longer name that begins alike
        ({"seeds": (0,)}, {"seeds": (1,)}),  # or of the same, but other seeds
        ({"seeds": (1,)}, {"seeds": (1, 2)}),
    ],
)
def test_the_whole_folder_of_another_cell_is_refused(results, first, second):
    path, other = trained(results, **first), trained(results, **second)
    place = other.parent.relative_to(results).as_posix()
    shutil.copytree(other.parent, path.parent, dirs_exist_ok=True)
    with pytest.raises(UserError, match=f"belongs to {re.escape(place)}, as run.json"):
        tables.read([path])


def test_two_folders_that_were_swapped_are_refused(results):
    paths = [trained(results, seeds=(seed,)) for seed in (0, 1)]
    between = results / "between"
    for source, target in ((paths[0].parent, between), (paths[1].parent, paths[0].parent), (between, paths[1].parent)):
        source.rename(target)
    for path, seed in zip(paths, (1, 0), strict=True):
        with pytest.raises(UserError, match=f"belongs to .*seeds-{seed}, as run.json"):
            tables.read([path])


def test_the_same_seed_in_two_blocks_is_refused(results):
    """As after another seeds_per_job: no seed counts twice."""
    paths = [trained(results, seeds=seeds) for seeds in ((0, 1), (2,), (1, 2))]
    assert tables.read(paths[:2])["seed"].tolist() == [0, 1, 2]
    with pytest.raises(UserError, match=r"seeds-1-2.*: seed 1 of train/.* is in .*seeds-0-1.* too; remove one"):
        tables.read([paths[0], paths[2]])
    with pytest.raises(UserError, match=r"is in .* too"):
        Results({"histories": paths})
    others = [trained(results, norm, (0, 1)) for norm in ("none", "layer")]  # the same seeds of other cells
    assert len(tables.read([paths[0], *others])) == 6


def test_rows_of_other_seeds_than_the_records_are_refused(results):
    path = trained(results, seeds=(0, 1), rows=(0, 2))
    with pytest.raises(UserError, match=r"holds other seeds than run.json next to it says; remove .*seeds-0-1"):
        tables.read([path])
    assert len(tables.read([trained(results, seeds=(0, 1), rows=(1, 1))])) == 2  # a seed may have no rows


def test_results_may_be_moved_together_and_read_alone(results, tmp_path):
    """A folder of one's own is nobody's place; a table without run.json has nothing to be compared with."""
    paths = [trained(results, seeds=(seed,)) for seed in (0, 1)]
    results.rename(tmp_path / "moved")
    assert len(tables.read([tmp_path / "moved" / path.relative_to(results) for path in paths])) == 2
    alone = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "moved" / paths[0].parent.relative_to(results), alone)
    assert len(tables.read([alone / "history.parquet"])) == 1
    (alone / "run.json").unlink()
    assert len(tables.read([alone / "history.parquet"])) == 1


def test_results_of_data_that_were_changed_in_place_are_not_mixed(results):
    paths = [trained(results, norm) for norm in ("batch", "none")]
    product = pd.DataFrame({"factors": [1], "singular_value": [0.5]})
    matrices = finished(results, Matrices(size=2, factors=(1,), draws=1), product)  # which have no data
    assert len(tables.read(paths)) == 2
    other = trained(results, "group", data={"sha256": "b" * 64})
    message = r"norm-group.*made from other images than .*norm-batch.*remove the preset's"
    with pytest.raises(UserError, match=message):
        tables.read([*paths, other])
    inputs = {"histories": [*paths, other], "random_matrices": [matrices]}
    with pytest.raises(UserError, match=message):
        Results(inputs)
    Results(inputs | {"histories": paths})


def test_a_figure_of_several_tables_mixes_no_data_either(results, tmp_path):
    other = trained(results, "none", data={"sha256": "b" * 64})
    inputs = {"histories": [trained(results)], "gradient_structure": [other]}
    with pytest.raises(UserError, match="made from other images"):
        drawing.draw("noise_along_training", inputs, tmp_path / "figures")
