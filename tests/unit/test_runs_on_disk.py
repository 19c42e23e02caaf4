"""Results that are not what their job wrote are refused, before a figure or a verdict rests on them."""

import re
import shutil

import pandas as pd
import pytest
from damage import flip_a_bit

from understanding_bn import runs, tables
from understanding_bn.claims.results import Results
from understanding_bn.errors import UserError

PLACE = "train/resnet-8/kaiming/norm-{norm}/alpha-0.1/batch-64/epochs-2"


def finished(results, norm, data=None):
    out = results / PLACE.format(norm=norm) / "seeds-0"
    tables.write(out / "history.parquet", pd.DataFrame({"norm": [norm], "epoch": [1]}))
    runs.finish(out, PLACE.format(norm=norm), ["history.parquet"], {"stage": "train", "data": data})
    return out / "history.parquet"


def test_what_a_job_wrote_is_read(tmp_path):
    paths = [finished(tmp_path / "results/quick", norm) for norm in ("batch", "none")]
    assert tables.read(paths)["norm"].tolist() == ["batch", "none"]


def test_one_flipped_bit_is_found(tmp_path):
    path = finished(tmp_path / "results/quick", "batch")
    flip_a_bit(path)
    with pytest.raises(UserError, match=r"history.parquet: not the file that its job wrote.*remove .*seeds-0 and run"):
        tables.read([path])


def test_the_history_of_another_cell_is_refused(tmp_path):
    path, other = (finished(tmp_path / "results/quick", norm) for norm in ("batch", "none"))
    shutil.copy(other, path)
    with pytest.raises(UserError, match="not the file that its job wrote"):
        tables.read([path])


def test_the_whole_folder_of_another_cell_is_refused(tmp_path):
    path, other = (finished(tmp_path / "results/quick", norm) for norm in ("batch", "none"))
    shutil.copytree(other.parent, path.parent, dirs_exist_ok=True)
    with pytest.raises(UserError, match=f"belongs to {re.escape(PLACE.format(norm='none'))}, as run.json"):
        tables.read([path])


def test_a_longer_name_that_begins_alike_is_another_place(tmp_path):
    path, other = (finished(tmp_path / "results/quick", norm) for norm in ("batch-final", "batch"))
    shutil.copytree(other.parent, path.parent, dirs_exist_ok=True)
    with pytest.raises(UserError, match="belongs to"):
        tables.read([path])


def test_results_may_be_moved_together_and_read_alone(tmp_path):
    """A folder of one's own is nobody's place; a table without run.json has nothing to be compared with."""
    path = finished(tmp_path / "results/quick", "batch")
    moved = tmp_path / "elsewhere"
    shutil.copytree(path.parent, moved)
    assert len(tables.read([moved / "history.parquet"])) == 1
    (moved / "run.json").unlink()
    assert len(tables.read([moved / "history.parquet"])) == 1


def test_results_of_data_that_were_changed_in_place_are_not_mixed(tmp_path):
    made = [("batch", {"sha256": "a" * 64}), ("none", {"sha256": "a" * 64}), ("layer", None)]  # matrices have no data
    paths = [finished(tmp_path / "results/quick", norm, data) for norm, data in made]
    assert len(tables.read(paths)) == 3
    other = finished(tmp_path / "results/quick", "group", {"sha256": "b" * 64})
    with pytest.raises(UserError, match=r"norm-group.*made from other images than .*norm-batch.*remove the preset's"):
        tables.read([*paths, other])
    with pytest.raises(UserError, match="made from other images"):
        Results([*paths, other], {})
