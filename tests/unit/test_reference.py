"""Kept results."""

import json
from pathlib import Path

import pytest

from understanding_bn import files, paper, status
from understanding_bn.claims.catalogue import CLAIMS
from understanding_bn.experiment import plan
from understanding_bn.report import reference
from understanding_bn.report.parts import read_provenance

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
    provenance, runs = files.read_json(folder / "provenance.json"), read_provenance(folder)
    assert provenance["jobs"] == len(runs) > 0
    assert {run.place for run in runs.values()} == set(runs)
    planned = {made.folder: made for made in plan.plan(status.read_config(folder / "config.json")).measured}
    assert provenance.get("planned", len(runs)) == len(planned)
    assert all(planned[place] == run.job for place, run in runs.items())
    kept = [path for path in folder.rglob("*") if path.is_file()]
    assert all(path.stat().st_size <= reference.LARGEST for path in kept)
    assert {path.suffix for path in kept} <= {".json", ".csv", ".png", ".md", ".parquet"}
