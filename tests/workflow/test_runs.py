"""The tiny preset for real: every file that it leaves, and what can be done with them."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest
from checkouts import write_parquet
from rocrate.rocrate import ROCrate

from understanding_bn import record, status
from understanding_bn.claims.catalogue import CLAIMS
from understanding_bn.errors import UserError
from understanding_bn.experiment import load
from understanding_bn.report import reference

FIGURES = {"fig1_accuracy", "fig6_logit_gradients", "fig8_singular_values", "other_norms"}
FIGURES |= {"noise_along_training", "noise_by_architecture"}


def test_a_second_run_has_nothing_to_do(finished):
    done = finished[0].run()
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


def test_claims_of_what_has_not_run_say_so(finished):
    claims = json.loads((finished[0].results / "claims.json").read_text())
    assert [claim["id"] for claim in claims] == [claim.id for claim in CLAIMS]
    assert {claim["verdict"] == "not run" for claim in claims} == {True, False}
    assert all(bool(claim["runs"]) == (claim["verdict"] != "not run") for claim in claims)


def test_divergence_is_a_result_and_not_a_crash(finished):
    summary = pd.read_csv(finished[0].results / "figures" / "fig1_accuracy_summary.csv")
    diverged = summary[(summary["norm"] == "none") & (summary["alpha"] == 1000)]
    assert len(diverged) == 2
    assert diverged["failure"].isin(["overflow", "NaN"]).all()
    assert diverged["first_bad_step"].notna().all()
    assert diverged["test_accuracy"].isna().all()


def test_run_json_says_what_was_done(finished):
    records = list(finished[0].results.rglob("run.json"))
    # Training; gradients of one of its networks; one measurement of two norms; matrices.
    assert len(records) == 3 + 1 + 2 + 1
    for path in records:
        run = record.read(path)
        assert run.wall_seconds > 0
        assert run.peak_memory_mib > 10
        assert run.place == str(path.parent.relative_to(finished[0].results))
        assert list(run.plugins) == (["half.py"] if "norm-half" in run.place else [])
        if run.stage == "random_matrices":
            assert run.data is None
            continue
        assert run.seeds == (0, 1)
        assert run.bn_mode
        assert run.data.source.startswith("scikit-learn digits")


class Page(HTMLParser):
    """Collects what the page refers to."""

    def __init__(self):
        super().__init__()
        self.links, self.ids, self.sources, self.tags = [], set(), [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        if "id" in attributes:
            self.ids.add(attributes["id"])
        if tag == "a":
            self.links.append(attributes["href"])
        if tag in ("img", "script", "link") and (attributes.get("src") or attributes.get("href")):
            self.sources.append(attributes.get("src") or attributes["href"])


def test_the_report_is_self_contained_and_its_links_lead_somewhere(finished):
    folder = finished[0].results
    text = (folder / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert all(source.startswith("data:") for source in page.sources)
    assert all(link[1:] in page.ids for link in page.links if link[0] == "#")
    beside = [unquote(link) for link in page.links if link[0] != "#"]
    assert "figures/fig1_accuracy.csv" in beside
    assert all((folder / link).is_file() for link in beside)
    opening = text[: text.index('id="claims"')].count("<img ")
    assert 0 < opening <= 5
    said = text.count('<p class="notice" role="note">') - text.count("Not the paper's scale")  # in place of an image
    assert page.tags.count("img") + said == len(FIGURES) + opening
    assert {"claim-1", "claim-20", "fig1_accuracy", "provenance"} <= page.ids
    assert text.index('id="claims"') < text.index('id="figures"') < text.index('id="provenance"')
    assert "The paper saw" in text
    # Plotting libraries name addresses that they would load from if asked to; the page's policy forbids all of them.
    own = re.sub("<script.*?</script>|src='data:image[^']*'", "", text, flags=re.S)
    assert "http" not in own.replace("http-equiv", "")
    assert "default-src 'none'" in own


def test_progress_is_shown_and_logged(finished):
    checkout, done = finished
    assert "steps (100%) done" in done.stdout + done.stderr
    log = next((checkout.folder / "logs" / "tiny" / "train").rglob("*.log")).read_text()
    assert "epochs" in log
    assert "running on the CPU" in log or "cuda" in log


def test_benchmarks_are_kept_for_every_job(finished):
    files = list((finished[0].folder / "logs").rglob("*.benchmark.tsv"))
    # Data, training and on its networks, measurements, matrices; figures; claims and report.
    assert len(files) == 1 + 3 + 1 + 2 + 1 + len(FIGURES) + 2


def test_status_finds_every_job_done(finished):
    source = finished[0].results
    states = status.states(status.read_config(source / "config.json"), source)
    assert {job.state for job in states} == {status.DONE}
    assert {source / job.folder / "run.json" for job in states} == set(source.rglob("run.json"))
    assert all((finished[0].folder / "logs" / "tiny" / f"{job.folder}.log").is_file() for job in states)
    for job in (job for job in states if job.stage == "train"):
        history = pd.read_parquet(source / job.folder / "history.parquet").groupby("seed")["failure"].last()
        failures = dict(zip(job.record.seeds, job.record.training.failures, strict=True))
        assert failures == {seed: None if pd.isna(kind) else kind for seed, kind in history.items()}


def test_the_config_is_kept_as_it_was_resolved(finished, monkeypatch):
    monkeypatch.chdir(finished[0].folder)  # where the plug-in is
    ours = load.resolve(load.load(Path("tiny.yaml")))
    kept = json.loads((finished[0].results / "config.json").read_text())
    assert kept == json.loads(ours.model_dump_json())


def test_a_folder_without_a_config_cannot_be_kept(finished, tmp_path):
    source = finished[0].results
    (source / "config.json").rename(tmp_path / "config.json")
    try:
        with pytest.raises(UserError, match="holds no results; run that preset first"):
            reference.keep(source.parent, tmp_path / "reference", ["tiny"])
    finally:
        (tmp_path / "config.json").rename(source / "config.json")


def test_another_data_set_is_refused_the_same_folder(finished, tmp_path):
    checkout, _ = finished
    write_parquet(tmp_path / "mine")
    answer = checkout.plan("--config", "dataset=parquet", f"data_dir={tmp_path / 'mine'}")
    assert answer["status"] != 0
    assert "results/tiny holds results of data set digits, not parquet-" in answer["said"]
    assert "--config preset=tiny-parquet-" in answer["said"]


def test_a_finished_run_can_be_described_for_archives(finished):
    checkout, _ = finished
    done = checkout.run("crate")
    assert done.returncode == 0, done.stderr
    crate = ROCrate(checkout.results)
    actions = [entity for entity in crate.get_entities() if entity.type == "CreateAction"]
    assert len(actions) == len(list(checkout.results.rglob("run.json")))
    assert crate.get("figures/fig1_accuracy.svg")
    assert crate.root_dataset["mainEntity"].id == "report.html"
