"""Kept results and the README's blocks that are drawn from them."""

import json

import pytest

from understanding_bn.claims.catalogue import CLAIMS
from understanding_bn.config import SCHEMA
from understanding_bn.errors import UserError
from understanding_bn.report import reference

ROOT = SCHEMA.parent.parent.parent


def test_the_readme_says_what_the_kept_results_say(tmp_path):
    page = tmp_path / "README.md"
    page.write_text((ROOT / "README.md").read_text())
    reference.readme(page, ROOT / "results" / "reference")
    assert page.read_text() == (ROOT / "README.md").read_text(), "run `make reference`"


def test_kept_claims_are_todays_claims():
    kept = json.loads((ROOT / "results/reference/quick/claims.json").read_text())
    assert [(c["id"], c["statement"], c["paper"]) for c in kept] == [(c.id, c.statement, c.paper) for c in CLAIMS]


@pytest.mark.parametrize("folder", sorted((ROOT / "results/reference").iterdir()), ids=lambda f: f.name)
def test_kept_results_are_small_and_have_their_provenance(folder):
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["jobs"] == len(provenance["runs"]) > 0
    for run in provenance["runs"].values():
        assert {"commit", "device", "versions", "code_fingerprint", "settings"} <= set(run)
    kept = [path for path in folder.rglob("*") if path.is_file()]
    assert all(path.stat().st_size <= reference.LARGEST for path in kept)
    assert {path.suffix for path in kept} <= {".json", ".csv", ".png", ".md"}


def test_a_readme_without_its_block_is_refused(tmp_path):
    (tmp_path / "README.md").write_text("nothing here")
    with pytest.raises(UserError, match="has no block 'verdicts'"):
        reference.readme(tmp_path / "README.md", ROOT / "results" / "reference")


def test_recording_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no finished result named fig1"):
        reference.record(tmp_path, tmp_path / "out", ["fig1"])


def test_numbers_in_the_readme_follow_the_records(tmp_path):
    copy = tmp_path / "reference"
    for source in (ROOT / "results/reference").rglob("*"):
        if source.is_file():
            target = copy / source.relative_to(ROOT / "results/reference")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    claims = json.loads((copy / "quick/claims.json").read_text())
    claims[0] |= {"measured": 123.456, "interval": [111.0, 222.0], "verdict": "inconclusive", "seeds": 7}
    (copy / "quick/claims.json").write_text(json.dumps(claims))
    page = tmp_path / "README.md"
    page.write_text((ROOT / "README.md").read_text())
    reference.readme(page, copy)
    assert "| 123 [111, 222], n = 7 | inconclusive |" in page.read_text()
