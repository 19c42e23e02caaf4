"""The report page: what stands beside what."""

import html
import json
import re

import pandas as pd
import pytest
from PIL import Image
from records import DATA, MACHINE, finished, job, training

from understanding_bn import paper
from understanding_bn.cell import Network
from understanding_bn.claims.catalogue import CLAIMS, FOLLOWUPS
from understanding_bn.experiment.jobs import Measure
from understanding_bn.measurements.logit_gradients import LogitGradients
from understanding_bn.report import page as report


def claims(verdict, measured):
    blank = {"scope": "", "note": "", "runs": [], "checks": [], "interval": None, "measure": "a measure"}
    blank |= {"method": "Student’s t", "direction": "unclear", "sign_flip_p": 0.25, "beside": "", "unmet": []}
    return [
        blank
        | {"id": c.id, "statement": c.statement, "paper": "as an old file says", "figure": c.figure, "source": c.source}
        | {"verdict": verdict, "measured": measured, "seeds": 3 if measured else 0}
        for c in CLAIMS
    ]


def run_record(results, stage="train", number=0, images=50_000, digits=False, **changes):
    """The run.json of a job on CIFAR-10, or on the digits; the changes are those of its network."""
    data = DATA | {"dataset": "digits" if digits else "cifar10", "train_images": images}
    data["tag"] = data["dataset"]
    made = job((number,), **{"arch": "resnet-110", "batch_size": 128} | changes)
    more = {"training": training(made.seeds)}
    if stage == "initialization":
        network = Network(**{factor: getattr(made.cell, factor) for factor in Network.model_fields})
        shared = {"optimiser": made.optimiser, "augmentation": made.augmentation}
        made = Measure(measurement="logit_gradients", network=network, options=LogitGradients(), seeds=(0,), **shared)
        more = {}
    return finished(results, made, pd.DataFrame({"seed": made.seeds}), data, **more).parent / "run.json"


@pytest.fixture
def page(tmp_path):
    """Builds the page from runs and claims; returns its text."""

    def build(runs, kept, judged=None):
        results = tmp_path / "results/mine"
        results.mkdir(parents=True, exist_ok=True)
        (tmp_path / "claims.json").write_text(json.dumps(judged or claims("inconclusive", 1.25)))
        Image.new("RGB", (2, 2)).save(tmp_path / "figure.png")
        (tmp_path / "figure.rst").write_text("A title\n\nA paragraph.\n")
        beside = tmp_path / "kept.json" if kept else None
        if kept:
            beside.write_text(json.dumps(kept))
        items = [tmp_path / "figure.png"]
        later = zip(claims("not run", None), FOLLOWUPS, strict=False)
        followups = [claim | {"id": followup.id} for claim, followup in later]
        (tmp_path / "followups.json").write_text(json.dumps(followups))
        files = (tmp_path / "claims.json", tmp_path / "followups.json")
        report.run("mine", *files, items, runs, tmp_path, beside, results / "report.html")
        return (results / "report.html").read_text()

    return build


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results/mine"


def test_kept_verdicts_of_the_papers_scale_stand_beside_those_of_a_smaller_one(page, results):
    small = [run_record(results, digits=True, arch="resnet-32", batch_size=64)]
    text = page(small, claims("reproduced", 77.5))
    assert "Not the paper's scale" in text
    assert text.count("77.5") == 20
    assert "kept in results/reference" in text
    assert "77.5" not in page(small, None)


def test_at_the_papers_scale_nothing_stands_beside(page, results):
    # Measurements may vary depth or batch size on purpose.
    runs = [run_record(results), run_record(results, "initialization")]
    runs.append(run_record(results, "initialization", arch="resnet-8"))
    text = page(runs, claims("reproduced", 77.5))
    assert "Not the paper's scale" not in text
    assert "77.5" not in text


def test_training_of_a_smaller_network_is_not_the_papers_scale(page, results):
    runs = [run_record(results, "initialization"), run_record(results, arch="resnet-20")]
    assert "Not the paper's scale" in page(runs, None)
    assert "Not the paper's scale" in page([run_record(results, images=10_000)], None)


@pytest.mark.parametrize(("more", "told"), [(0, False), (3, True)])
def test_long_lists_are_cut_and_say_by_how_much(page, results, monkeypatch, more, told):
    monkeypatch.setattr(report, "MOST_LISTED", 7)
    count = report.MOST_LISTED + more
    runs = [f"results/mine/train/{number}/history.parquet" for number in range(count)]
    check = {"name": "n", "measured": 1, "interval": None, "relation": "<", "bound": 2, "seeds": 3}
    check |= {"method": "Student’s t", "direction": "as claimed", "sign_flip_p": 0.25, "evidence": True}
    judged = [c | {"runs": runs, "checks": [check | {"verdict": "reproduced"}]} for c in claims("reproduced", 1)[:1]]
    jobs = [run_record(results, number=number, digits=True) for number in range(count)]
    text = page(jobs, None, judged)
    assert f"{count} files" in text
    assert f"All {count} jobs" in text
    assert text.count("/history.parquet</code>") == report.MOST_LISTED
    assert text.count(f"<td>{MACHINE['started']}</td>") == report.MOST_LISTED
    assert ("and 3 more, all in" in text) == ("And 3 more; all are named in" in text) == told
    assert (" more" in text.split('id="claims"')[1]) == told


def test_figures_are_vector_graphics_where_there_are_any(page, results, tmp_path):
    runs = [run_record(results, digits=True)]
    assert 'src="data:image/png;base64,' in page(runs, None)
    (tmp_path / "figure.svg").write_text("<svg/>")
    assert 'src="data:image/svg+xml;base64,PHN2Zy8+"' in page(runs, None)


def test_a_figure_that_shows_nothing_is_a_sentence(page, results, monkeypatch):
    monkeypatch.setattr(report.nothing, "sentence_in", lambda png: "Every network < 3 diverged.")
    text = page([run_record(results, digits=True)], None)
    assert '<p class="notice" role="note">Every network &lt; 3 diverged.</p>' in text
    assert "data:image" not in text
    assert "<p>A paragraph.</p>" in text


def test_files_beside_the_page_are_links_and_others_are_not(page, results):
    near = run_record(results, digits=True)
    far = results.parent.parent / "else where/run.json"
    far.parent.mkdir()
    far.write_text(near.read_text())
    near = near.rename(results / "a b.json")
    text = page([near, far], None)
    assert f'<a href="a%20b.json"><code>{near}</code></a>' in text
    assert f"<code>{far}</code>" in text and f"<code>{far}</code></a>" not in text


def test_what_a_source_says_stands_with_its_origin_whatever_the_file_says(page, results):
    text = html.unescape(page([run_record(results, digits=True)], None))
    assert "as an old file says" not in text
    rows = dict(re.findall(r'<tr id="claim-(\w+)"(.*?)</tr>', text, re.DOTALL))
    assert set(rows) == {str(claim.id) for claim in (*CLAIMS, *FOLLOWUPS)}
    for claim in (*CLAIMS, *FOLLOWUPS):
        assert paper.shown(claim.paper) in rows[str(claim.id)]
