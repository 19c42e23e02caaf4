"""Kept results."""

import json
from pathlib import Path

import pandas as pd
import pytest
from records import finished, training

from understanding_bn import files, paper, record, status
from understanding_bn.claims.catalogue import CLAIMS
from understanding_bn.errors import UserError
from understanding_bn.experiment import load, plan
from understanding_bn.report import reference

ROOT = Path(__file__).resolve().parent.parent.parent
RECORDS = ROOT / "results" / "reference"


@pytest.mark.parametrize("preset", ["quick", "cifar10-init"])
def test_kept_claims_are_todays_claims(preset):
    kept = json.loads((RECORDS / preset / "claims.json").read_text())
    assert [(c["id"], c["statement"]) for c in kept] == [(c.id, c.statement) for c in CLAIMS]
    # Pages take what the paper says from the catalogue; records that name its origin must agree with it.
    said = {c.id: (paper.text(c.paper), paper.origin(c.paper)) for c in CLAIMS}
    assert all((c["paper"], c["paper_origin"]) == said[c["id"]] for c in kept if "paper_origin" in c)


@pytest.mark.parametrize("folder", sorted(path.parent for path in RECORDS.glob("*/claims.json")), ids=lambda f: f.name)
def test_kept_results_are_small_and_have_their_provenance(folder):
    provenance, runs = files.read_json(folder / "provenance.json"), reference.read_provenance(folder)
    assert provenance["jobs"] == len(runs) > 0
    assert {run.place for run in runs.values()} == set(runs)
    planned = plan.plan(status.read_config(folder / "config.json")).measured
    assert {made.folder: made for made in planned} == {place: run.job for place, run in runs.items()}
    kept = [path for path in folder.rglob("*") if path.is_file()]
    assert all(path.stat().st_size <= reference.LARGEST for path in kept)
    assert {path.suffix for path in kept} <= {".json", ".csv", ".png", ".md", ".parquet"}


def test_keeping_an_unfinished_preset_is_refused_and_keeps_the_old_record(tmp_path):
    (tmp_path / "out" / "mine").mkdir(parents=True)
    with pytest.raises(UserError, match="holds no finished claims"):
        reference.keep(tmp_path, tmp_path / "out", ["mine"])
    assert (tmp_path / "out" / "mine").is_dir()


SMALL = {"preset": "mine", "augmentation": {"flip": False}, "initialization": {"measurements": {}}, "seeds": 1}
SMALL |= {"grid": [{"arch": "resnet-8", "norm": "batch", "alpha": 0.1, "epochs": 1}]}


@pytest.fixture
def results(tmp_path):
    """The results of a preset of one training job, the files of a finished one among them."""
    config = load.resolve(SMALL)
    folder = tmp_path / "results" / "mine"
    rows = pd.DataFrame({"seed": [0]})
    for made in plan.jobs(config):
        told = {"training": training((0,))} if made.rule == "train" else {}
        finished(folder, made, rows, wall_seconds=45, peak_memory_mib=7 if told else 5, **told)
    files.write_text(folder / "config.json", config.model_dump_json())
    for name, size in (("claims.json", 2), ("figures/a.csv", 9), ("figures/a.pdf", 9), ("tables/t.md", 9)):
        files.write_text(folder / name, "1" * size)
    files.write_text(folder / "figures/large.csv", "1" * (reference.LARGEST + 1))
    return folder


def test_a_record_holds_what_is_small_and_nothing_of_an_older_one(tmp_path, results):
    files.write_text(tmp_path / "out/mine/old.csv", "old")
    reference.keep(tmp_path / "results", tmp_path / "out", ["mine"])
    target = tmp_path / "out/mine"
    train, matrices = plan.jobs(load.resolve(SMALL))
    small = {"config.json", "claims.json", "figures/a.csv", "tables/t.md", "provenance.json"}
    kept = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert kept == small | {f"raw/{train.values}", f"raw/{matrices.values}"}
    provenance = files.read_json(target / "provenance.json")
    assert (provenance["jobs"], provenance["job_minutes"], provenance["peak_memory_mib"]) == (2, 1.5, 7)
    runs = reference.read_provenance(target)
    assert runs == {made.folder: record.read(results / made.folder / "run.json") for made in (train, matrices)}


def test_a_job_that_is_missing_or_of_an_older_version_is_refused_and_keeps_the_old_record(tmp_path, results):
    files.write_text(tmp_path / "out/mine/old.csv", "old")
    run = results / plan.jobs(load.resolve(SMALL))[0].folder / "run.json"
    for damage, message in (
        (lambda: run.write_text('{"stage": "train"}'), "not a record"),
        (run.unlink, "no such file"),
    ):
        damage()
        with pytest.raises(UserError, match=message):
            reference.keep(tmp_path / "results", tmp_path / "out", ["mine"])
        assert (tmp_path / "out/mine/old.csv").is_file()
