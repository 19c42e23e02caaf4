"""Data of one's own, for real: trained on by config alone, damaged, changed."""

import shutil

import pandas as pd
import pytest
import yaml
from checkouts import TINY, write_parquet

from understanding_bn.data import sources

pytestmark = pytest.mark.slow


def test_ones_own_data_works_by_config_alone(checkout, tmp_path):
    write_parquet(tmp_path / "stripes")
    settings = ["dataset=parquet", f"data_dir={tmp_path / 'stripes'}", "preset=stripes"]
    config = TINY | {"grid": [TINY["grid"][0] | {"alpha": 0.05, "norm": "group", "batch_size": 16}]}
    (checkout.folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    done = checkout.run("fig1", "fig6", "--config", *settings)
    assert done.returncode == 0, done.stderr[-3000:]
    folder = checkout.folder / "results" / "stripes"
    gradients = pd.read_csv(folder / "figures" / "fig6_logit_gradients.csv")
    assert gradients["class"].nunique() == 3
    history = pd.read_parquet(next(folder.rglob("history.parquet")))
    assert history["dataset"].str.startswith("parquet-").all()
    stores = list((checkout.folder / "results" / "data").glob("*/store-*.npz"))
    assert [store.parent.name.split("-")[0] for store in stores] == ["parquet"]

    targets = ("fig1", "fig6", "--config", *settings)
    for file in (tmp_path / "stripes").iterdir():
        file.write_bytes(file.read_bytes())
    assert checkout.rules_planned(*targets) == {}, "the same data copied anew rerun nothing"
    elsewhere = ["dataset=parquet", f"data_dir={shutil.copytree(tmp_path / 'stripes', tmp_path / 'elsewhere')}"]
    moved = ("fig1", "fig6", "--config", *elsewhere)
    assert checkout.rules_planned(*moved, "preset=stripes") == {}, "nor do the same data in another folder"
    another = checkout.rules_planned(*moved, "preset=another")
    assert another["initialization"] > 0, "and what another preset lacks is made from them"
    assert "data" not in another
    stores[0].unlink()
    jobs = checkout.rules_planned(*targets, "--forcerun", "fig6_logit_gradients")
    assert not {"train", "initialization"} & set(jobs), "nor does preparing them anew"


def test_a_truncated_data_file_is_one_line_and_leaves_nothing(checkout, tmp_path):
    write_parquet(tmp_path / "stripes")
    train = tmp_path / "stripes" / "train.parquet"
    train.write_bytes(train.read_bytes()[:-100])
    done = checkout.run("fig6", "--config", "dataset=parquet", f"data_dir={tmp_path / 'stripes'}", "preset=stripes")
    assert done.returncode != 0
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("error: ")]
    assert lines
    assert all("train.parquet: not a readable Parquet file" in line for line in lines)
    assert "Traceback" not in done.stdout + done.stderr
    assert not list((checkout.folder / "results").rglob("*.npz"))
    assert not list((checkout.folder / "results").rglob("*.part*"))


def test_changed_data_is_prepared_anew(checkout, tmp_path):
    folder = tmp_path / "stripes"
    write_parquet(folder)
    settings = ["--config", "dataset=parquet", f"data_dir={folder}"]
    first = sources.tag("parquet", folder)
    assert checkout.run("data", *settings, "preset=stripes").returncode == 0
    assert list((checkout.folder / "results/data" / first).glob("store-*.npz"))
    assert checkout.rules_planned("data", *settings, "preset=stripes") == {}
    pd.read_parquet(folder / "train.parquet").iloc[:-3].to_parquet(folder / "train.parquet")
    assert sources.tag("parquet", folder) != first  # other content, other folder
    assert checkout.rules_planned("data", *settings, "preset=other") == {"data": 1}
