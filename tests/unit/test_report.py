"""The report page: what stands beside what."""

import html
import json
import re
from dataclasses import replace
from urllib.parse import unquote

import pandas as pd
import pytest
from PIL import Image
from records import DATA, MACHINE, finished, job, training

from understanding_bn import paper
from understanding_bn.cell import Network
from understanding_bn.claims import story
from understanding_bn.claims.catalogue import CLAIMS, FOLLOWUPS
from understanding_bn.experiment import plan
from understanding_bn.experiment.jobs import Measure
from understanding_bn.measurements.logit_gradients import LogitGradients
from understanding_bn.report import items
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


def claims_of(text):
    """The HTML of each claim, by its number."""
    return dict(re.findall(r'<tbody id="claim-(\w+)"(.*?)</tbody>', text, re.DOTALL))


def check(**changes):
    """A check as claims.json has it."""
    made = {"name": "n", "measured": 1, "interval": None, "relation": "<", "bound": 2, "seeds": 3, "beside": ""}
    made |= {"method": "Student’s t", "direction": "as claimed", "sign_flip_p": 0.25, "evidence": True}
    return made | {"verdict": "reproduced", "values": [0.5, 1.0, None]} | changes


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

    def build(runs, kept, judged=None, lost=None):
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
        report.run("mine", *files, items, runs, tmp_path, beside, results / "report.html", lost)
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
    runs = [f"train/{number}/history.parquet" for number in range(count)]
    runs = [str(results / run) for run in runs]
    judged = [c | {"runs": runs, "checks": [check()]} for c in claims("reproduced", 1)[:1]]
    jobs = [run_record(results, number=number, digits=True) for number in range(count)]
    text = page(jobs, None, judged)
    assert f"All {count} jobs" in text
    assert text.count("<li><code>train/") == report.MOST_LISTED
    assert text.count(f"<td>{MACHINE['started']}</td>") == report.MOST_LISTED
    assert ("and 3 more, all in" in text) == ("And 3 more; all are named in" in text) == told


def test_figures_are_vector_graphics_where_there_are_any(page, results, tmp_path):
    runs = [run_record(results, digits=True)]
    assert "src='data:image/png;base64," in page(runs, None)
    (tmp_path / "figure.svg").write_text("""<svg title="it's 5 % &lt; #6"/>\n""")
    (address,) = re.findall("src='data:image/svg.xml;charset=utf-8,([^']*)'", page(runs, None))
    assert unquote(address) == """<svg title="it's 5 % &lt; #6"/>"""
    assert not set("#&<>") & set(address), "they would end the address or begin a tag"


def test_it_opens_with_five_sentences_and_a_picture_where_the_run_drew_one(page, results, tmp_path, monkeypatch):
    monkeypatch.setattr(story, "ARGUMENT_FIGURES", ("not_drawn",))
    monkeypatch.setattr(story, "STEPS", [replace(step, figures=("not_drawn", "figure")) for step in story.STEPS])
    judged = [claim | {"verdict": "reproduced" if claim["id"] == 18 else "not run"} for claim in claims("", 1)]
    text = html.unescape(page([run_record(results, digits=True)], claims("opposite", 1), judged))
    _, *sentences = text.split('<ol class="story"')[1].split("</ol>")[0].split("<li>")
    assert story.ARGUMENT in sentences[0]
    assert [step.text in sentence for step, sentence in zip(story.STEPS, sentences[1:], strict=True)] == [True] * 4
    badges = [re.findall(r'class="badge.*?</span> (.*?)</span>', sentence) for sentence in sentences]
    assert badges[0] == ["holds: 1", "untested: 3", "holds: 1", "opposite: 3"]
    assert badges[1:] == [["untested", "opposite"]] * 3 + [["holds"]]
    assert ['href="#figure"' in sentence for sentence in sentences] == [False, True, False, False, False]
    assert "CPU, a processor" in text
    assert "<dt>Not run</dt>" in text


def test_every_figure_of_the_argument_is_one_of_the_plan():
    assert set(plan.FIGURES) >= {*story.ARGUMENT_FIGURES, *(figure for step in story.STEPS for figure in step.figures)}


def test_every_word_has_a_badge_that_can_be_read_without_colours():
    assert set(report.BADGES) == {*report.MARKS, *story.STATUSES}
    assert all(mark.strip() for mark, _ in report.BADGES.values())
    assert len(set(report.MARKS.values())) == len(report.MARKS)


def test_a_claim_shows_the_value_of_each_seed_and_leads_to_their_files(page, results):
    runs = [str(results / "train/a b/history.parquet")]
    judged = [claim | {"runs": runs, "checks": [check()]} for claim in claims("reproduced", -1250)]
    first = claims_of(page([run_record(results, digits=True)], None, judged))["1"]
    assert "One by one: 0.5, 1, –" in first
    assert "−1250" in first
    for name in ("history.parquet", "run.json"):
        assert f'href="train/a%20b/{name}"' in first
    assert 'href="claims.json"' in first


def test_short_tables_with_a_row_for_each_seed_stand_in_the_page(page, results, tmp_path):
    runs = [run_record(results, digits=True)]
    (tmp_path / "figure_summary.csv").write_text("norm,seed,sd,paper\nbatch,0,0.123456789,\nnone,1,,\n")
    text = page(runs, None)
    assert "Its numbers, seed by seed" in text
    assert "<td>batch</td><td>0</td><td>0.12346</td></tr>" in text, "a column without values is left out"
    (tmp_path / "figure_summary.csv").write_text("norm,sd\nbatch,1\n")
    assert "Its numbers" not in page(runs, None), "there is no seed"
    (tmp_path / "figure_summary.csv").write_text("seed\n" + "1\n" * (items.MOST_ROWS + 1))
    assert "Its numbers" not in page(runs, None)


def test_commands_draw_a_figure_again_although_it_is_up_to_date(page, results):
    runs = [run_record(results, digits=True)]
    assert "--forcerun rebuild -- reference" in page(runs, None), "a page without a config was rebuilt from a record"
    (results / "config.json").write_text("{}")
    command = f"snakemake --cores all --configfile {results}/config.json"
    text = page(runs, None)
    assert f"<code>{command} --forcerun figure -- figure</code>" in text
    assert f"<code>{command}</code>" in text


def test_a_figure_that_shows_nothing_is_a_sentence(page, results, monkeypatch):
    monkeypatch.setattr(items.nothing, "sentence_in", lambda png: "Every network < 3 diverged.")
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
    assert '<a href="a%20b.json"><code>a b.json</code></a>' in text
    assert f"<code>{far}</code>" in text and f"<code>{far}</code></a>" not in text


def test_what_a_source_says_stands_with_its_origin_whatever_the_file_says(page, results):
    text = html.unescape(page([run_record(results, digits=True)], None))
    assert "as an old file says" not in text
    rows = claims_of(text)
    assert set(rows) == {str(claim.id) for claim in (*CLAIMS, *FOLLOWUPS)}
    for claim in (*CLAIMS, *FOLLOWUPS):
        assert paper.shown(claim.paper) in rows[str(claim.id)]


def test_a_table_is_shown_with_its_notes_and_one_without_rows_as_its_notes_alone(tmp_path):
    (tmp_path / "t.rst").write_text("A title\n")
    (tmp_path / "t.md").write_text("| a |\n|---|\n| 1 \\| 2 |\n\nA note.\n")
    assert items.item(tmp_path / "t.md", tmp_path)["table"] == {"head": ["a"], "rows": [["1 | 2"]]}
    (tmp_path / "t.md").write_text("Nothing to show.\n")
    empty = items.item(tmp_path / "t.md", tmp_path)
    assert (empty["table"], empty["notes"]) == (None, ["Nothing to show."])


def test_what_could_not_be_drawn_or_judged_is_told_at_the_top_and_in_its_place(page, results, tmp_path):
    judged = claims("inconclusive", 1.25)
    judged[2] |= {"failure": "odd <value>", "note": "could not be judged: odd <value>"}
    log = tmp_path / "logs/figure.log"
    lost = {tmp_path / "figure.png": items.Lost("ValueError: odd <value>", log)}
    text = page([run_record(results, digits=True)], None, judged, lost)
    opening, rest = text.split('<ol class="story"')
    assert "This report is incomplete" in opening
    assert re.findall('<a href="#(.*?)"', opening.split("This report is incomplete")[1]) == ["figure", "claim-3"]
    assert "could not be judged: odd &lt;value&gt;" in claims_of(text)["3"]
    place = rest.split('id="figure" open>')[1].split("</details>")[0]
    assert "ValueError: odd &lt;value&gt;" in place
    assert str(log) in place
    assert "<img" not in place
    assert "A paragraph." in place
    whole = page([run_record(results, digits=True)], None)
    assert "incomplete" not in whole
    assert 'class="notice lost"' not in whole


def test_a_figure_that_the_page_cannot_show_does_not_take_the_page_with_it(page, results, tmp_path, capsys):
    (tmp_path / "figure.csv").write_bytes(b"\xff\xfe\x00")
    text = page([run_record(results, digits=True)], None)
    assert "It could not be drawn" in text
    assert "UnicodeDecodeError" in text
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {tmp_path / 'figure.png'}: can't be shown: UnicodeDecodeError: ")
