"""Records that grow: what a later sitting lacks is carried over, and all is made from the values of both."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from records import DATA, described, job
from records import finished as finished_job
from sittings import COMMITS, config, norm, sit

from understanding_bn import files, fingerprint, finished
from understanding_bn.docs_pages import costs, records
from understanding_bn.errors import UserError
from understanding_bn.experiment.plan import plan
from understanding_bn.report import missing, opening, rebuild, redraw, reference
from understanding_bn.report.parts import Part, read_provenance
from understanding_bn.stages import matrices
from understanding_bn.stages import train as stage

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def plain(monkeypatch, request):
    """Figures are just the rows that they would be drawn from; claims are judged where a test asks for `judged`."""

    def draw(name, inputs, out):
        rows = pd.concat([redraw.drawing.tables.read(paths) for paths in inputs.values()])
        (out / f"{name}.csv").parent.mkdir(exist_ok=True)
        rows.to_csv(out / f"{name}.csv", index=False)
        files.write_text(out / f"{name}.pdf", "is not kept")

    def judge(inputs, out, followups):
        for path in (out, followups):
            files.write_json(path, [])

    monkeypatch.setattr(redraw.drawing, "draw", draw)
    if "judged" not in request.fixturenames:
        monkeypatch.setattr(redraw.judging, "run", judge)
    monkeypatch.setattr(files.os, "fsync", lambda _: None)
    monkeypatch.setattr(fingerprint, "numeric", lambda *_: "0" * 12)


@pytest.fixture
def judged():
    """Claims are judged."""


@pytest.fixture
def keep(tmp_path, plain):
    """Keeps the results of a sitting; returns the folder of the record."""

    def kept(sitting):
        reference.keep(sitting, tmp_path / "reference", ["mine"])
        return tmp_path / "reference/mine"

    return kept


def content(folder):
    """Every file of a folder, by its place."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def places(asked, of=lambda made: True):
    return {made.folder for made in plan(asked).train if of(made)}


def first_seed(made):
    return made.seeds == (0,)


def test_a_record_is_the_same_from_one_sitting_or_from_two(tmp_path, judged, keep):
    whole = content(keep(sit(tmp_path, config(), lambda made: True)))
    shutil.rmtree(tmp_path / "first")
    shutil.rmtree(tmp_path / "reference")
    keep(sit(tmp_path, config(), norm("batch")))
    both = keep(sit(tmp_path, config(), norm("none"), "second"))
    runs = read_provenance(both)
    assert runs.keys() == places(config())
    for place, run in runs.items():
        assert run.commit == COMMITS["first" if "norm-batch" in place else "second"]
    joined = content(both)
    claims = [claim for claim in files.read_json(both / "claims.json") if claim["figure"] == "fig1_accuracy"]
    assert claims and not any(redraw.OF_FIGURE in claim["note"] for claim in claims)
    drawn = {name for name in whole if not name.endswith("provenance.json")}
    assert joined.keys() == whole.keys()
    # Verdicts name their files as one sitting's folder has them.
    assert {name: joined[name].replace(b"/second/", b"/first/") for name in drawn} == {n: whole[n] for n in drawn}


def test_a_whole_record_holds_what_is_small_and_nothing_else(tmp_path, keep, monkeypatch):
    results = sit(tmp_path, config(), lambda made: True)
    asked = config(random_matrices={"size": 2, "factors": [1, 2], "draws": 1})
    facts = {"size": 2, "draw": 0, "rank": 1, "singular_value": 1.0}
    finished_job(results / "mine", plan(asked).matrices, pd.DataFrame([facts | {"factors": k} for k in (1, 2)]))
    files.write_text(results / "mine/config.json", asked.model_dump_json())
    files.write_text(tmp_path / "reference/mine/old.csv", "of an older version")
    folder = keep(results)
    names = {"config.json", "claims.json", "followups.json", "provenance.json"}
    names |= {f"figures/{name}.csv" for name in ("fig1_accuracy", "fig8_singular_values")}
    assert content(folder).keys() == names | {f"raw/{made.values}" for made in plan(asked).measured}
    assert [path.name for path in (tmp_path / "reference").iterdir()] == ["mine"]
    provenance = files.read_json(folder / "provenance.json")
    assert (provenance["jobs"], provenance["planned"]) == (5, 5)
    monkeypatch.setattr(reference, "LARGEST", 2)
    assert keep(results) and content(folder).keys() == {"provenance.json", "config.json"}


def test_a_partial_record_says_so_wherever_it_is_cited(tmp_path, judged, keep):
    folder = keep(sit(tmp_path, config(), norm("batch")))
    assert records.read(folder).share == "2 of 5 jobs"
    assert records.named(folder.parent, "mine") == "`mine` (2 of 5 jobs)"
    assert "*From `results/reference/mine`: 2 of 5 jobs, the others were not run; some images, " in costs.origin(folder)
    claims = {claim["id"]: claim for claim in files.read_json(folder / "claims.json")}
    assert claims[2]["note"] == "needs training with norm none; the record has 2 of the 4 jobs of its figure"
    facts = dict(opening.this_run([*read_provenance(folder).values()], False, (2, 5)))
    assert facts["In part"] == "2 of 5 jobs; the others were not run"
    assert "In part" not in dict(opening.this_run([*read_provenance(folder).values()], False, (5, 5)))
    shutil.copytree(folder, folder.parent / "whole")
    provenance = files.read_json(folder / "provenance.json")
    provenance.pop("planned")  # as in records of earlier versions, which are whole
    files.write_json(folder.parent / "whole/provenance.json", provenance)
    assert records.named(folder.parent, "whole") == "`whole`"


def test_seeds_and_cells_that_a_preset_gains_leave_what_is_kept_as_it_is(tmp_path, keep):
    keep(sit(tmp_path, config(), norm("batch")))
    grown = config(norms=("batch", "none", "layer"), seeds=3)
    folder = keep(sit(tmp_path, grown, lambda made: made.seeds == (2,) and made.cell.norm != "none", "second"))
    runs = read_provenance(folder)
    cells = pd.read_csv(folder / "figures/fig1_accuracy.csv").groupby(["norm", "alpha"])["seed"].nunique()
    assert cells.to_dict() == {("batch", 0.1): 3, ("layer", 0.1): 1}
    commits = {seed: {run.commit for run in runs.values() if run.seeds == (seed,)} for seed in range(3)}
    assert commits == {0: {COMMITS["first"]}, 1: {COMMITS["first"]}, 2: {COMMITS["second"]}}
    assert records.read(folder).share == "4 of 10 jobs"


def test_a_run_takes_the_place_of_a_kept_one(tmp_path, keep):
    keep(sit(tmp_path, config(), lambda made: True))
    folder = keep(sit(tmp_path, config(), first_seed, "second", accuracy=0.25))
    runs = read_provenance(folder)
    assert {run.commit for run in runs.values() if run.seeds == (0,)} == {COMMITS["second"]}
    assert {run.commit for run in runs.values() if run.seeds == (1,)} == {COMMITS["first"]}
    table = pd.read_csv(folder / "figures/fig1_accuracy.csv").set_index(["norm", "seed"]).sort_index()
    assert table.loc["none", "test_accuracy"].to_dict() == pytest.approx({0: 0.35, 1: 0.61})
    assert f"commit {COMMITS['first'][:12]} and {COMMITS['second'][:12]}," in costs.origin(folder)


def test_other_images_are_refused_and_the_record_stays(tmp_path, keep):
    folder = keep(sit(tmp_path, config(), norm("batch")))
    before = content(folder)
    other = sit(tmp_path, config(), norm("none"), "second", data=DATA | {"sha256": "b" * 64})
    with pytest.raises(UserError, match=r"SHA-256 aaaaaaaa… and bbbbbbbb…") as caught:
        keep(other)
    text = str(caught.value)
    assert text.isprintable() and "norm-none" in text and "reference/mine, train/resnet-8" in text
    assert content(folder) == before and [*folder.parent.iterdir()] == [folder]


@pytest.mark.parametrize("changed", [{"seeds": 1}, {"optimiser": {"weight_decay": 0.25}}, {"precision": "bfloat16"}])
def test_kept_jobs_that_are_planned_no_more_are_dropped_with_a_line(tmp_path, keep, capsys, changed):
    keep(sit(tmp_path, config(), norm("batch")))
    asked = config(**changed)
    folder = keep(sit(tmp_path, asked, norm("none"), "second"))
    lost = places(config(), norm("batch")) - (places(asked) if "seeds" in changed else set())
    assert read_provenance(folder).keys() == places(asked, norm("none")) | places(config(), norm("batch")) - lost
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "drops" in line]
    assert f"mine: drops {len(lost)} kept jobs, no longer planned, or planned otherwise: train/" in line


def test_a_kept_block_of_seeds_is_carried_over_while_it_is_planned(tmp_path, keep):
    """Two seeds of one job are one place; with a third the blocks are others."""
    blocks = config(seeds=4, seeds_per_job=1).model_copy(update={"seeds_per_job": 2})
    assert all(len(made.seeds) == 2 for made in plan(blocks).train)
    kept = {made.folder for made in plan(blocks).train}
    assert kept <= {made.folder for made in plan(blocks.model_copy(update={"seeds": (0, 1, 2, 3, 4)})).train}
    assert not kept & {made.folder for made in plan(blocks.model_copy(update={"seeds_per_job": 3})).train}


def measured(asked):
    """The config with a measurement on trained networks."""
    options = {"gradient_structure": {"at": [1], "minibatches": 2}}
    return config(**asked, trained={"measurements": options})


def test_a_measurement_on_other_weights_than_are_kept_is_dropped(tmp_path, capsys):
    """Trained again elsewhere, a network may end with other weights."""
    planned = plan(measured({"seeds": 1, "norms": ("batch",), "alphas": (0.1,)}))
    (made,) = planned.trained["gradient_structure"]
    trained = described(planned.train[0], outputs={"weights.pt": "1" * 64})
    structure = described(made, weights_sha256="1" * 64)
    carried = {made.folder: Part(structure, None)}
    for weights, stale in (("1", False), ("2", True)):
        again = {made.trained_by: Part(trained.model_copy(update={"outputs": {"weights.pt": weights * 64}}), None)}
        assert reference._is_stale(made, carried, again) == stale
    assert not reference._is_stale(made, carried, {})


def test_what_rests_on_values_too_large_to_keep_stays_as_it_was_drawn(tmp_path, keep, capsys):
    folder = keep(sit(tmp_path, config(), norm("batch")))
    drawn = (folder / "figures/fig1_accuracy.csv").read_bytes()
    large = min(path for path in (folder / "raw").rglob("history.parquet"))
    large.unlink()
    assert keep(sit(tmp_path, config(), norm("none"), "second")) == folder
    assert read_provenance(folder).keys() == places(config())
    assert (folder / "figures/fig1_accuracy.csv").read_bytes() == drawn
    assert "fig1_accuracy: copied as it was drawn" in capsys.readouterr().err


def test_nothing_to_keep_or_an_older_version_is_one_line_and_the_record_stays(tmp_path, keep):
    folder = keep(sit(tmp_path, config(), norm("batch")))
    before = content(folder)
    with pytest.raises(UserError, match="holds no results; run that preset first"):
        keep(tmp_path / "nowhere")
    results = sit(tmp_path, config(), norm("none"), "second")
    for path in (results / "mine").rglob("run.json"):
        path.write_text('{"stage": "train"}')
    with pytest.raises(UserError, match="not a record that this version reads"):
        keep(results)
    assert content(folder) == before
    quick = config(preset="quick")
    (results / "mine").rename(results / "quick")
    shutil.rmtree(results / "quick/train")
    files.write_text(results / "quick/config.json", quick.model_dump_json())
    with pytest.raises(UserError, match="quick: 5 jobs have no results; run that preset first"):
        reference.keep(results, folder.parent, ["quick"])


@pytest.mark.parametrize("moment", ["drawing", "swapping", "killed"])
def test_a_crash_leaves_the_record_as_it_was(tmp_path, keep, monkeypatch, moment):
    folder = keep(sit(tmp_path, config(), norm("batch")))
    before = content(folder)
    results = sit(tmp_path, config(), norm("none"), "second")
    if moment == "killed":  # between the two renames
        folder.rename(folder.with_name(".mine.old"))
        files.write_text(folder.with_name(".mine.new") / "half", "")
    else:
        place, name = {"drawing": (redraw.judging, "run"), "swapping": (type(folder), "rename")}[moment]
        real = getattr(place, name)

        def crash(path, *arguments):
            if moment == "swapping" and path != folder.with_name(".mine.new"):
                return real(path, *arguments)
            raise KeyboardInterrupt

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(place, name, crash)
            keep(results)
        assert content(folder) == before
    assert read_provenance(keep(results)).keys() == places(config())
    assert [*folder.parent.iterdir()] == [folder]


def test_a_figure_that_fails_is_told_and_costs_no_run(tmp_path, keep, monkeypatch, capsys):
    monkeypatch.setattr(redraw.drawing, "draw", lambda *_: 1 / 0)
    with pytest.raises(UserError, match="mine: kept without fig1_accuracy"):
        keep(sit(tmp_path, config(), norm("batch")))
    assert "error: fig1_accuracy: ZeroDivisionError" in capsys.readouterr().err
    assert read_provenance(tmp_path / "reference/mine").keys() == places(config(), norm("batch"))


def test_results_that_were_left_aside_are_kept(tmp_path, keep):
    """As `train-ahead` leaves them until a Snakemake takes them."""
    results = sit(tmp_path, config(), norm("batch"))
    for made in plan(config()).train:
        if made.cell.norm == "batch":
            (results / "mine" / made.folder).rename(finished.aside(results / "mine" / made.folder))
    assert read_provenance(keep(results)).keys() == places(config(), norm("batch"))


def test_what_is_missing_is_listed_breadth_first(tmp_path, keep, monkeypatch, capsys):
    keep(sit(tmp_path, config(), norm("batch")))
    results = sit(tmp_path, config(), lambda made: made.cell.norm == "none" and first_seed(made), "second")
    grown = config(norms=("batch", "none", "layer"), seeds=3)
    monkeypatch.setattr(missing, "named", lambda preset: grown)
    missing.run("mine", results, tmp_path / "reference", None)
    said = capsys.readouterr()
    paths = said.out.splitlines()
    assert said.err.endswith("\nmine: 7 of 10 runs are missing\n")
    done = places(config(), norm("batch")) | places(config(seeds=1), norm("none"))
    expected = {made.values for made in plan(grown).measured if made.folder not in done}
    assert set(paths) == {(results / "mine" / path).as_posix() for path in expected} and len(paths) == len(expected)
    seeds = [int(path.split("seeds-")[1][0]) for path in paths if "seeds" in path]
    assert seeds == sorted(seeds) and paths[-1].endswith("random_matrices/values.parquet")
    missing.run("mine", results, tmp_path / "reference", 2)
    said = capsys.readouterr()
    assert said.out.splitlines() == paths[:2] and said.err.endswith("runs are missing; these are the next 2\n")
    with pytest.raises(UserError, match="--first is 0; expected 1 or more"):
        missing.run("mine", results, tmp_path / "reference", 0)


def test_a_run_that_lacks_a_measurement_is_made_again_with_all_of_them(tmp_path, keep):
    """The record has no weights to measure."""
    asked = {"seeds": 1, "norms": ("batch",)}
    keep(sit(tmp_path, config(**asked), lambda made: True))
    planned = plan(measured(asked))
    runs = missing.missing(planned, tmp_path / "none", tmp_path / "reference/mine")
    assert [[made.rule for made in run] for run in runs] == [["train", "trained"], ["random_matrices"]]
    # With results of training, which have weights, only the measurements.
    runs = missing.missing(planned, tmp_path / "first/mine", tmp_path / "reference/mine")
    assert [[made.rule for made in run] for run in runs] == [["trained"], ["random_matrices"]]


def test_minutes_count_no_pause_between_sittings():
    def run(start, seconds):
        return described(job(), started=f"2026-01-{start}:00+00:00", wall_seconds=seconds)

    sittings = [run("01T10:00", 600), run("01T10:05", 600), run("01T10:20", 60), run("03T09:00", 120)]
    assert records.Kept(tuple(sittings), 4, 1, 1).elapsed_minutes == pytest.approx(21 + 2)


@pytest.mark.slow
def test_figures_and_verdicts_of_runs_that_were_trained_in_two_sittings(tmp_path, digits_path):
    """Trained and drawn for real: one cell, then another one and a second seed of both."""
    asked = config(alphas=(0.1,), random_matrices={"size": 4, "factors": [1, 2], "draws": 2})
    whole = tmp_path / "whole"
    planned = plan(asked)
    for made in planned.train:
        stage.run(made, digits_path, whole / "mine" / made.folder, tmp_path / "state", 1, "cpu", 1)
    matrices.run(planned.matrices, whole / "mine/random_matrices", 1)
    files.write_text(whole / "mine/config.json", asked.model_dump_json())
    reference.keep(whole, tmp_path / "at once", ["mine"])
    one = {planned.train[0].folder}
    for name, of in (("one", one), ("other", {made.folder for made in planned.measured} - one)):
        for place in of:
            shutil.copytree(whole / "mine" / place, tmp_path / name / "mine" / place)
        shutil.copy(whole / "mine/config.json", tmp_path / name / "mine")
        reference.keep(tmp_path / name, tmp_path / "grown", ["mine"])
        if name == "one":
            rebuild.rebuild(tmp_path / "grown/mine", tmp_path / "rebuilt", ROOT / "workflow/report", None)
            for path in (tmp_path / "grown/mine/figures").glob("*.csv"):
                assert (tmp_path / "rebuilt/figures" / path.name).read_bytes() == path.read_bytes()
            assert "<dt>In part</dt><dd>1 of 5 jobs;" in (tmp_path / "rebuilt/report.html").read_text()
    at_once, grown = (content(tmp_path / name / "mine") for name in ("at once", "grown"))
    assert at_once.keys() == grown.keys()
    claims = "claims.json", "followups.json"
    assert all(at_once[name] == grown[name] for name in at_once if name not in claims)
    for name in claims:
        assert at_once[name].replace(b"/whole/", b"/other/") == grown[name]
    assert np.isfinite(pd.read_csv(tmp_path / "grown/mine/figures/fig1_accuracy.csv")["accuracy"]).all()
