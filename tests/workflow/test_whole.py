"""The tiny preset with every measurement: all figures and tables, and a record of them that is drawn from anew."""

import json
from pathlib import Path

import pandas as pd
import pytest
from checkouts import ROOT
from PIL import Image

from understanding_bn.claims.catalogue import CLAIMS
from understanding_bn.errors import UserError
from understanding_bn.report import rebuild, reference

pytestmark = pytest.mark.slow

CAPTIONS = ROOT / "workflow/report"

COLUMNS = {
    "figures/fig1_accuracy.csv": "norm alpha batch_size seed epoch fraction split accuracy",
    "figures/fig2_gradient_histogram.csv": "norm layer seed bin_left bin_right count",
    "figures/fig2_gradient_histogram_summary.csv": "norm layer seed sd kurtosis entries",
    "figures/fig3_relative_loss_summary.csv": "norm seed minibatch minimum passes_1 paper_minimum paper_origin",
    "figures/fig5_channel_moments_summary.csv": "site norm statistic rms_distance_from_paper paper_origin",
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
    "tables/readings.csv": "arch init site norm quantity value paper paper_origin",
}
FIGURES = {Path(name).stem.removesuffix("_summary") for name in COLUMNS if name.startswith("figures/")}


@pytest.mark.parametrize("name", COLUMNS)
def test_tables_have_the_columns_that_were_promised(whole, name):
    table = pd.read_csv(whole[0].results / name)
    assert set(COLUMNS[name].split()) <= set(table.columns)
    assert len(table)


def test_no_table_has_a_number_of_the_paper_without_its_origin(whole):
    tables = {path.name: pd.read_csv(path) for path in whole[0].results.glob("*/*.csv")}
    papers = {name: table for name, table in tables.items() if any("paper" in column for column in table.columns)}
    assert len(papers) >= 3
    for name, table in papers.items():
        known = table.drop(columns="paper_origin").filter(like="paper").notna().any(axis=1)
        assert (table["paper_origin"].notna() == known).all(), name


def test_every_figure_comes_in_three_formats(whole):
    figures = whole[0].results / "figures"
    for png in figures.glob("*.png"):
        assert png.with_suffix(".pdf").stat().st_size > 1000
        assert png.with_suffix(".csv").stat().st_size > 100
        with Image.open(png) as image:
            assert image.width > 8.5 / 2.54 * 200  # a column's width
    assert {png.stem for png in figures.glob("*.png")} == FIGURES


def test_claims_json(whole):
    claims = json.loads((whole[0].results / "claims.json").read_text())
    assert [claim["id"] for claim in claims] == [claim.id for claim in CLAIMS]
    for claim in claims:
        keys = {"id", "statement", "scope", "paper", "paper_origin", "measured", "interval", "seeds", "verdict", "runs"}
        assert keys <= set(claim)
        assert claim["verdict"] in {"reproduced", "not reproduced", "inconclusive", "precondition not met", "not run"}
        assert all((whole[0].folder / run).is_file() for run in claim["runs"])
        assert bool(claim["runs"]) == (claim["verdict"] != "not run")
    scopes = [claim["scope"] for claim in claims if claim["scope"] and claim["id"] != 18]
    assert all("digits" in scope for scope in scopes)
    assert all("CIFAR" not in scope for scope in scopes)


def test_list_files_name_just_what_each_command_reads(whole):
    folder = whole[0].results
    inputs = {path.stem: json.loads(path.read_text()) for path in (folder / "inputs").glob("*.json")}
    assert set(inputs) == FIGURES | {"table1_gradient_sums", "readings", "claims"}

    def written(name, below=folder):
        return {str(path.relative_to(whole[0].folder)) for path in below.rglob(name)}

    histories = written("history.parquet")
    assert list(inputs["fig1_accuracy"]) == ["histories"]
    assert set(inputs["fig1_accuracy"]["histories"]) == histories
    assert len(histories) == 6
    assert set((folder / "inputs/report.txt").read_text().splitlines()) == written("run.json")
    judged = inputs["claims"]
    assert set(judged["histories"]) == histories
    assert set(judged["hessian_spectrum"]) == written("values.parquet", folder / "trained/hessian_spectrum")
    read = {path for name in ("claims", "readings") for paths in inputs[name].values() for path in paths}
    assert read == histories | written("values.parquet")


def test_a_record_alone_redraws_everything(whole, tmp_path):
    source = whole[0].results
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


def test_what_is_too_large_to_keep_is_copied_as_it_was_drawn(whole, tmp_path, capsys):
    source = whole[0].results
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


def test_snakemakes_own_report_works_offline(whole):
    checkout, _ = whole
    done = checkout.run("--report", "report.zip")
    assert done.returncode == 0, done.stderr
    assert (checkout.folder / "report.zip").stat().st_size > 100_000
