"""The report page: what stands beside what."""

import json

import pytest
from PIL import Image

from understanding_bn.claims.catalogue import CLAIMS
from understanding_bn.report import job


def claims(verdict, measured):
    blank = {"scope": "", "note": "", "runs": [], "checks": [], "interval": None, "measure": "a measure"}
    return [
        blank
        | {"id": c.id, "statement": c.statement, "paper": c.paper, "figure": c.figure, "source": c.source}
        | {"verdict": verdict, "measured": measured, "seeds": 3 if measured else 0}
        for c in CLAIMS
    ]


def run_record(stage="train", dataset="cifar10", arch="resnet-110", batch_size=128, train_images=50_000):
    data = {"dataset": dataset, "source": f"images of {dataset}", "train_images": train_images, "test_images": 2}
    data |= {"size": [8, 8, 3], "sha256": "abc", "files": {}}
    machine = {"commit": "c", "device": "cpu", "processor": "p", "threads": 1, "dtype": "float32", "flags": {}}
    machine |= {"versions": {"torch": "1"}, "wall_seconds": 1, "peak_memory_mib": 1, "started": "now"}
    return {"stage": stage, "settings": {"arch": arch, "batch_size": batch_size}, "data": data} | machine


@pytest.fixture
def page(tmp_path):
    """Builds the page from records and claims; returns its text."""

    def build(records, kept):
        paths = []
        for number, record in enumerate(records):
            paths.append(tmp_path / f"{number}.json")
            paths[-1].write_text(json.dumps(record))
        (tmp_path / "claims.json").write_text(json.dumps(claims("inconclusive", 1.25)))
        Image.new("RGB", (2, 2)).save(tmp_path / "figure.png")
        (tmp_path / "figure.rst").write_text("A title\n\nA paragraph.\n")
        beside = tmp_path / "kept.json" if kept else None
        if kept:
            beside.write_text(json.dumps(kept))
        items = [tmp_path / "figure.png"]
        later = [claim | {"id": f"L{claim['id']}", "runs": []} for claim in claims("not run", None)[:2]]
        (tmp_path / "later.json").write_text(json.dumps(later))
        judged = (tmp_path / "claims.json", tmp_path / "later.json")
        job.run("mine", *judged, items, paths, tmp_path, beside, tmp_path / "report.html")
        return (tmp_path / "report.html").read_text()

    return build


def test_kept_verdicts_of_the_papers_scale_stand_beside_those_of_a_smaller_one(page):
    small = [run_record(dataset="digits", arch="resnet-32", batch_size=64)]
    text = page(small, claims("reproduced", 77.5))
    assert "Not the paper's scale" in text
    assert text.count("77.5") == 20
    assert "kept in results/reference" in text
    assert "77.5" not in page(small, None)


def test_at_the_papers_scale_nothing_stands_beside(page):
    # Measurements may vary depth or batch size on purpose.
    records = [run_record(), run_record("initialization"), run_record("initialization", arch="resnet-8")]
    text = page(records, claims("reproduced", 77.5))
    assert "Not the paper's scale" not in text
    assert "77.5" not in text


def test_training_of_a_smaller_network_is_not_the_papers_scale(page):
    assert "Not the paper's scale" in page([run_record("initialization"), run_record(arch="resnet-20")], None)
    assert "Not the paper's scale" in page([run_record(train_images=10_000)], None)


@pytest.mark.parametrize(("more", "told"), [(0, False), (3, True)])
def test_long_lists_are_cut_and_say_by_how_much(page, monkeypatch, more, told):
    count = job.MOST_LISTED + more
    runs = [f"results/mine/train/{number}/history.parquet" for number in range(count)]
    check = {"name": "n", "measured": 1, "interval": None, "relation": "<", "bound": 2, "seeds": 3}
    judged = [c | {"runs": runs, "checks": [check | {"verdict": "reproduced"}]} for c in claims("reproduced", 1)[:1]]
    monkeypatch.setitem(globals(), "claims", lambda *_: judged)
    text = page([run_record(dataset="digits")] * count, None)
    assert f"{count} files" in text
    assert f"All {count} jobs" in text
    assert text.count("/history.parquet</code>") == job.MOST_LISTED
    assert text.count("<td>now</td>") == job.MOST_LISTED
    assert ("and 3 more, all in" in text) == ("And 3 more; all are named in" in text) == told
    assert (" more" in text.split("<main>")[1]) == told


def test_figures_are_vector_graphics_where_there_are_any(page, tmp_path):
    records = [run_record(dataset="digits")]
    assert 'src="data:image/png;base64,' in page(records, None)
    (tmp_path / "figure.svg").write_text("<svg/>")
    assert 'src="data:image/svg+xml;base64,PHN2Zy8+"' in page(records, None)


def test_files_beside_the_page_are_links_and_others_are_not(tmp_path):
    beside = tmp_path / "results/mine"
    link = '<a href="train/a%20b/run.json"><code>'
    assert job._linked(str(beside / "train/a b/run.json"), beside).startswith(link)
    assert job._linked("elsewhere/<run>.json", beside) == "<code>elsewhere/&lt;run&gt;.json</code>"
