"""The tiny preset for real: every file that it leaves, and what can be done with them."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest
from checkouts import ROOT, write_parquet
from PIL import Image
from rocrate.rocrate import ROCrate

from understanding_bn import record, status
from understanding_bn.claims.catalogue import CLAIMS
from understanding_bn.errors import UserError
from understanding_bn.experiment import load
from understanding_bn.report import rebuild, reference

COLUMNS = {
    "figures/fig1_accuracy.csv": "norm alpha batch_size seed epoch fraction split accuracy",
    "figures/fig2_gradient_histogram.csv": "norm layer seed bin_left bin_right count",
    "figures/fig2_gradient_histogram_summary.csv": "norm layer seed sd kurtosis entries",
    "figures/fig3_relative_loss.csv": "norm seed minibatch step_size relative_loss",
    "figures/fig4_divergence_heatmap.csv": "norm seed layer percent channel mean variance",
    "figures/fig5_channel_moments.csv": "norm seed layer statistic value spread",
    "figures/fig6_logit_gradients.csv": "norm seed image label class gradient",
    "figures/fig8_singular_values.csv": "factors draw bin_left bin_right count",
    "figures/fig8_singular_values_summary.csv": "factors size draw condition_number ks_statistic",
    "figures/fig7_kernel_gradients.csv": "norm seed layer out_channel in_channel gradient",
    "figures/max_learning_rate.csv": "norm init depth seed alpha",
    "figures/gradient_noise.csv": "arch norm alpha batch_size seed epoch noise constant",
    "figures/noise_along_training.csv": "arch norm alpha batch_size seed epoch noise constant noise_scale",
    "figures/noise_by_architecture.csv": "arch norm alpha batch_size seed epoch constant rank_share",
    "figures/alpha_batch_grid.csv": "arch norm alpha batch_size seed test_accuracy failure update_noise sharpness",
    "figures/alpha_batch_grid_summary.csv": "norm move quantity pairs seeds change low high",
    "figures/hessian_spectrum.csv": "arch norm alpha batch_size seed bn_mode node weight",
    "figures/hessian_spectrum_summary.csv": "arch norm alpha batch_size seed bn_mode top_eigenvalue trace trace_stderr",
    "figures/input_mean_correlation.csv": "norm seed layer spearman",
    "figures/jacobian_conditioning.csv": "arch norm init depth seed log10_condition bn_mode shortcut image size rank",
    "figures/jacobian_conditioning_summary.csv": "shortcut norm bn_mode init condition_slope condition_theory",
    "figures/single_final_bn.csv": "norm alpha seed test_accuracy failure",
    "figures/other_norms.csv": "norm alpha seed test_accuracy failure",
    "tables/table1_gradient_sums.csv": "norm seed layer a b ratio",
    "tables/readings.csv": "arch init site norm quantity value paper",
}
FIGURES = {Path(name).stem.removesuffix("_summary") for name in COLUMNS if name.startswith("figures/")}


def results(checkout):
    return checkout.folder / "results" / "tiny"


@pytest.mark.parametrize("name", COLUMNS)
def test_tables_have_the_columns_that_were_promised(finished, name):
    table = pd.read_csv(results(finished[0]) / name)
    assert set(COLUMNS[name].split()) <= set(table.columns)
    assert len(table)


def test_every_figure_comes_in_three_formats(finished):
    figures = results(finished[0]) / "figures"
    for png in figures.glob("*.png"):
        assert png.with_suffix(".pdf").stat().st_size > 1000
        assert png.with_suffix(".csv").stat().st_size > 100
        with Image.open(png) as image:
            assert image.width > 1000
    assert {png.stem for png in figures.glob("*.png")} == FIGURES


def test_claims_json(finished):
    claims = json.loads((results(finished[0]) / "claims.json").read_text())
    assert [claim["id"] for claim in claims] == [claim.id for claim in CLAIMS]
    for claim in claims:
        keys = {"id", "statement", "scope", "paper", "measured", "interval", "seeds", "verdict", "runs"}
        assert keys <= set(claim)
        assert claim["verdict"] in {"reproduced", "not reproduced", "inconclusive", "not run"}
        assert all((finished[0].folder / run).is_file() for run in claim["runs"])
        assert bool(claim["runs"]) == (claim["verdict"] != "not run")
    scopes = [claim["scope"] for claim in claims if claim["scope"] and claim["id"] != 18]
    assert all("digits" in scope for scope in scopes)
    assert all("CIFAR" not in scope for scope in scopes)


def test_divergence_is_a_result_and_not_a_crash(finished):
    summary = pd.read_csv(results(finished[0]) / "figures" / "fig1_accuracy_summary.csv")
    diverged = summary[(summary["norm"] == "none") & (summary["alpha"] == 1000)]
    assert len(diverged) == 2
    assert diverged["failure"].isin(["overflow", "NaN"]).all()
    assert diverged["first_bad_step"].notna().all()
    assert diverged["test_accuracy"].isna().all()


def test_run_json_says_what_was_done(finished):
    records = list(results(finished[0]).rglob("run.json"))
    # Training; gradients of all its networks and Hessians of three; ten measurements of two norms; the search on four
    # and two networks; another reading's three; matrices.
    assert len(records) == 7 + 7 + 3 + 2 * 10 + 4 + 2 + 2 * 3 + 1
    for path in records:
        run = record.read(path)
        assert run.wall_seconds > 0
        assert run.peak_memory_mib > 10
        assert run.place == str(path.parent.relative_to(results(finished[0])))
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
    folder = results(finished[0])
    text = (folder / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert all(source.startswith("data:") for source in page.sources)
    assert all(link[1:] in page.ids for link in page.links if link[0] == "#")
    beside = [unquote(link) for link in page.links if link[0] != "#"]
    assert {"figures/fig1_accuracy.csv", "tables/readings.csv"} <= set(beside)
    assert all((folder / link).is_file() for link in beside)
    assert page.tags.count("img") == len(FIGURES)
    assert {"claim-1", "claim-20", "table1_gradient_sums", "provenance"} <= page.ids
    assert text.index('id="claims"') < text.index('id="figures"') < text.index('id="provenance"')
    assert "The paper saw" in text
    # Plotting libraries name addresses that they would load from if asked to; the page's policy forbids all of them.
    own = re.sub("<script.*?</script>", "", text, flags=re.S)
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
    # Data, training and on its networks, measurements, matrices; figures and two tables; claims and report.
    assert len(files) == 1 + 7 + 10 + 32 + 1 + len(FIGURES) + 2 + 2


def test_list_files_name_just_what_each_command_reads(finished):
    folder = results(finished[0])
    inputs = {path.stem: json.loads(path.read_text()) for path in (folder / "inputs").glob("*.json")}
    assert set(inputs) == FIGURES | {"table1_gradient_sums", "readings", "claims"}

    def written(name, below=folder):
        return {str(path.relative_to(finished[0].folder)) for path in below.rglob(name)}

    histories = written("history.parquet")
    assert list(inputs["fig1_accuracy"]) == ["histories"]
    main = {path for path in histories if "batch-128" in path}  # the main network's
    assert set(inputs["fig1_accuracy"]["histories"]) == main
    assert (len(main), len(histories)) == (6, 7)
    assert set((folder / "inputs/report.txt").read_text().splitlines()) == written("run.json")
    judged = inputs["claims"]
    assert set(judged["histories"]) == histories
    assert set(judged["hessian_spectrum"]) == written("values.parquet", folder / "trained/hessian_spectrum")
    read = {path for name in ("claims", "readings") for paths in inputs[name].values() for path in paths}
    assert read == histories | written("values.parquet")


def test_status_finds_every_job_done(finished):
    source = results(finished[0])
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
    kept = json.loads((results(finished[0]) / "config.json").read_text())
    assert kept == json.loads(ours.model_dump_json())


CAPTIONS = ROOT / "workflow" / "report"


def test_a_record_alone_redraws_everything(finished, tmp_path):
    source = results(finished[0])
    reference.keep(source.parent, tmp_path, ["tiny"])
    assert not [path for path in (tmp_path / "tiny").rglob("*") if path.suffix in (".pt", ".npz")]
    out = tmp_path / "rebuilt" / "tiny"
    rebuild.rebuild(tmp_path / "tiny", out, CAPTIONS, None)
    drawn = sorted(path.relative_to(source) for kind in ("figures", "tables") for path in (source / kind).iterdir())
    assert drawn == sorted(path.relative_to(out) for kind in ("figures", "tables") for path in (out / kind).iterdir())
    for path in drawn:
        if path.suffix in (".csv", ".md"):
            assert (out / path).read_text() == (source / path).read_text(), path
    for name in ("claims.json", "followups.json"):
        ours, theirs = (json.loads((folder / name).read_text()) for folder in (out, source))
        for claim in (*ours, *theirs):
            claim["runs"] = [run.split("tiny/")[1] for run in claim["runs"]]
        assert ours == theirs
    assert "tiny" in (out / "report.html").read_text()

    damaged = next((tmp_path / "tiny" / "raw").rglob("history.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="not the file that its job wrote"):
        rebuild.rebuild(tmp_path / "tiny", tmp_path / "again", CAPTIONS, None)


def test_what_is_too_large_to_keep_is_copied_as_it_was_drawn(finished, tmp_path, capsys):
    source = results(finished[0])
    reference.keep(source.parent, tmp_path, ["tiny"])
    name = "gradient_noise"
    for path in (tmp_path / "tiny/raw/initialization").rglob(f"{name}/**/values.parquet"):
        path.unlink()  # as if it were larger than what a record takes
    rebuild.rebuild(tmp_path / "tiny", tmp_path / "out", CAPTIONS, None)
    said = capsys.readouterr().err
    assert f"{name}: copied as it was drawn" in said
    assert said.count("copied as it was drawn") == 1
    assert "copied as it was judged" in said
    drawn = f"figures/{name}.png"
    assert (tmp_path / "out" / drawn).read_bytes() == (source / drawn).read_bytes()
    ours, theirs = (json.loads((folder / "claims.json").read_text()) for folder in (tmp_path / "out", source))
    assert [claim["verdict"] for claim in ours] == [claim["verdict"] for claim in theirs]


def test_a_preset_of_an_older_version_cannot_be_kept(finished, tmp_path):
    source = results(finished[0])
    (source / "config.json").rename(tmp_path / "config.json")
    try:
        with pytest.raises(UserError, match=r"config\.json: no such file"):
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
    crate = ROCrate(results(checkout))
    actions = [entity for entity in crate.get_entities() if entity.type == "CreateAction"]
    assert len(actions) == len(list(results(checkout).rglob("run.json")))
    assert crate.get("figures/fig1_accuracy.svg")
    assert crate.root_dataset["mainEntity"].id == "report.html"


def test_snakemakes_own_report_works_offline(finished):
    checkout, _ = finished
    done = checkout.run("--report", "report.zip")
    assert done.returncode == 0, done.stderr
    assert (checkout.folder / "report.zip").stat().st_size > 100_000
