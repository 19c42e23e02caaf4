"""Kept results."""

import json

import pytest
from understanding_bn.config import SCHEMA

from understanding_bn.claims.catalogue import CLAIMS
from understanding_bn.errors import UserError
from understanding_bn.report import rebuild, reference

ROOT = SCHEMA.parent.parent.parent
RECORDS = ROOT / "results" / "reference"


@pytest.mark.parametrize("preset", ["quick", "cifar10-init"])
def test_kept_claims_are_todays_claims(preset):
    kept = json.loads((RECORDS / preset / "claims.json").read_text())
    assert [(c["id"], c["statement"], c["paper"]) for c in kept] == [(c.id, c.statement, c.paper) for c in CLAIMS]


@pytest.mark.parametrize("folder", sorted(path.parent for path in RECORDS.glob("*/claims.json")), ids=lambda f: f.name)
def test_kept_results_are_small_and_have_their_provenance(folder):
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["jobs"] == len(provenance["runs"]) > 0
    for run in provenance["runs"].values():
        assert {"commit", "device", "versions", "code_fingerprint", "settings"} <= set(run)
    kept = [path for path in folder.rglob("*") if path.is_file()]
    assert all(path.stat().st_size <= rebuild.LARGEST for path in kept)
    assert {path.suffix for path in kept} <= {".json", ".csv", ".png", ".md", ".parquet"}


def test_recording_an_unfinished_preset_is_refused_and_keeps_the_old_record(tmp_path):
    (tmp_path / "out" / "mine").mkdir(parents=True)
    with pytest.raises(UserError, match="holds no finished claims"):
        reference.record(tmp_path, tmp_path / "out", ["mine"])
    assert (tmp_path / "out" / "mine").is_dir()


def test_a_record_holds_what_is_small_and_nothing_of_an_older_one(tmp_path):
    results = tmp_path / "results" / "mine"
    for name, size in (("claims.json", 2), ("figures/a.csv", 9), ("figures/a.pdf", 9), ("tables/t.md", 9)):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_bytes(b"1" * size)
    (results / "figures/large.csv").write_bytes(b"1" * (rebuild.LARGEST + 1))
    (results / "job").mkdir()
    (results / "job/run.json").write_text(json.dumps({"wall_seconds": 90, "peak_memory_mib": 7}))
    (results / "job/values.parquet").write_bytes(b"1")
    (results / "config.json").write_text(json.dumps({"claims": {"small_alpha": 0.1}, "data_dir": "/home/me"}))
    (results / "inputs").mkdir()
    for name in ("claims", "t"):
        (results / f"inputs/{name}.txt").write_text("results/mine/job/values.parquet\n")
    (tmp_path / "out/mine").mkdir(parents=True)
    (tmp_path / "out/mine/old.csv").write_text("old")
    reference.record(tmp_path / "results", tmp_path / "out", ["mine"])
    kept = {str(path.relative_to(tmp_path / "out/mine")) for path in (tmp_path / "out/mine").rglob("*.*")}
    assert kept == {
        "claims.json",
        "figures/a.csv",
        "tables/t.md",
        "provenance.json",
        "raw.json",
        "raw/job/values.parquet",
    }
    assert "/home/me" not in (tmp_path / "out/mine/raw.json").read_text()
    provenance = json.loads((tmp_path / "out/mine/provenance.json").read_text())
    assert (provenance["jobs"], provenance["job_minutes"], provenance["peak_memory_mib"]) == (1, 1.5, 7)
