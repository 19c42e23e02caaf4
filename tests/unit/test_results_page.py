"""docs/results.md: claims, conditions and accuracies from kept records."""

import json

import pandas as pd
import pytest
from records import DATA, described, job, training

from understanding_bn import paper
from understanding_bn.docs_pages import results_page
from understanding_bn.report import reference


def claim(number, verdict="not run", measured=None, note=""):
    blank = {
        "statement": f"statement {number}",
        "paper": "as an old file says",
        "figure": "fig1_accuracy",
        "scope": "a scale",
    }
    checks = [] if measured is None else [{}]
    found = {"measure": "a difference", "measured": measured, "interval": [1, 2] if measured else None}
    return (
        blank
        | found
        | {"id": number, "verdict": verdict, "note": note, "checks": checks, "seeds": 3}
        | {"method": "Student’s t", "direction": "as claimed"}
    )


def trained(alpha, epochs, seconds, failures, images=1000):
    made = job(range(len(seconds)), alpha=alpha, batch_size=100, epochs=epochs)
    told = training(made.seeds, failures).model_copy(update={"seconds": tuple(seconds)})
    return described(made, data=DATA | {"train_images": images}, training=told)


@pytest.fixture
def records(tmp_path):
    """Writes a record of these claims and runs; returns the folder of all."""

    def write(preset, claims, runs=()):
        folder = tmp_path / preset
        folder.mkdir()
        (folder / "claims.json").write_text(json.dumps(claims))
        named = {str(number): run.model_dump(mode="json") for number, run in enumerate(runs)}
        provenance = {"runs": named, "job_minutes": 90, "peak_memory_mib": 7}
        (folder / "provenance.json").write_text(json.dumps(provenance))
        return tmp_path

    return write


def test_every_kept_record_has_a_column_those_nearest_to_the_paper_first(records):
    records("quick", [claim(1, "reproduced", 5), claim(2)])
    records("cifar10-depth", [claim(1), claim(18, "reproduced", 5)])  # what every preset has says nothing of networks
    text = results_page.verdicts(records("paper", [claim(1), claim(2, "reproduced", 5)]))
    assert "| # | claim | paper | `paper` | `quick` |" in text
    assert "| [1](#claim-1) | statement 1 | 12.0 points (digitised) | not run | reproduced |" in text


def test_a_claim_tells_what_decided_and_where_it_was_not_run(records):
    records("quick", [claim(1, "reproduced", 5), claim(2)])
    text = results_page.claims(records("cifar10-init", [claim(1, note="needs training"), claim(2, "reproduced")]))
    assert "The paper: 12.0 points (digitised)." in text
    assert "| `quick` | a difference | 5 | 1 to 2 | 3 | Student’s t | reproduced | as claimed | a scale |" in text
    assert "Not run: `cifar10-init` (needs training)." in text


def test_conditions_stand_beside_the_papers(records):
    runs = [trained(0.1, 10, [2.0, 4.0], [None, None]), trained(0.01, 20, [2.0], ["overflow"], images=1050)]
    text = results_page.conditions(records("quick", [claim(1, "reproduced")], runs))
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:] for line in text.splitlines() if "|" in line}
    assert set(paper.CONDITIONS) < set(rows)
    assert rows["epochs"] == [paper.shown(paper.CONDITIONS["epochs"]), "10 at 0.1, 20 at 0.01 |"]
    assert rows["seeds"] == ["5 (recalled)", "2; 1 to 2 a cell |"]
    # 10,000 images in 2 s and in 4 s; the run that failed has no rate.
    assert rows["images/s of a training job, median"] == ["unknown", "3,750 |"]
    assert rows["processor hours of all jobs"] == ["unknown", "1.5 |"]


def test_runs_that_failed_have_no_part_in_accuracies(record, write):
    network = {"arch": "resnet-8", "init": "fixup", "batch_size": 8}
    cell = network | {"norm": "none", "alpha": 0.1, "epochs": 5}
    runs = [
        {"seed": seed, "test_accuracy": 0.5 + 0.1 * seed, "train_accuracy": 0.5, "failure": None} for seed in (0, 1)
    ]
    runs.append({"seed": 2, "test_accuracy": 0.1, "train_accuracy": 0.1, "failure": "stuck at chance"})
    failed = network | {
        "norm": "none",
        "alpha": 0.3,
        "epochs": 5,
        "seed": 0,
        "test_accuracy": 0.1,
        "train_accuracy": 0.1,
    }
    elsewhere = cell | runs[0] | {"batch_size": 16, "test_accuracy": 0.9}
    write("fig1_accuracy_summary", [cell | run for run in runs] + [failed | {"failure": "overflow"}, elsewhere])
    end = {"block": "all", "epoch": 5, "bn_mode": "none", "trace": 9.0}
    tops = [cell | end | {"seed": seed, "top_eigenvalue": value} for seed, value in ((0, 2.0), (1, 4.0), (2, 99.0))]
    start = cell | end | {"epoch": 0, "seed": 0, "top_eigenvalue": 1e6}
    layer = cell | end | {"block": "stem", "seed": 0, "top_eigenvalue": 1e6}
    write("hessian_spectrum_summary", [*tops, start, layer])
    noise = [cell | {"fraction": fraction, "seed": 0, "constant": value} for fraction, value in ((0, 1e6), (1, 7.0))]
    write("noise_along_training", noise)
    text = results_page.accuracies(record)
    # Two seeds: Student's t reaches 12.7 times half their distance to either side.
    assert "| no norm | 0.1 | 5 | 55.0 [-8.5, 118.5] | 50.0 [50.0, 50.0] | 3 [-9.71, 15.7] | 9 [9, 9] | 7 | 1" in text
    assert "| no norm | 0.3 | 5 | – | – | – | – | – | 1 of 1, overflow |" in text
    assert text.index("| 0.3 |") < text.index("| 0.1 |")


def test_published_accuracies_stand_beside_not_run_or_ours(tmp_path):
    text = results_page.resnet_110(tmp_path)
    assert "| the paper | 93.26 % (digitised) | 165 (recalled) | 5 (recalled) |" in text
    assert text.count("| not run |") == 2
    folder = tmp_path / "paper/figures"
    folder.mkdir(parents=True)
    rows = [("batch", 0.1, 0.93, 165), ("batch", 0.1, 0.95, 165), ("batch", 0.003, 0.5, 1320), ("none", 0.1, 0.1, 165)]
    table = pd.DataFrame(rows, columns=["norm", "alpha", "test_accuracy", "epochs"]).assign(failure=None)
    table.to_csv(folder / "fig1_accuracy_summary.csv", index=False)
    reference.write_provenance(folder.parent, {"train/x": trained(0.1, 165, [2.0], [None])})
    text = results_page.resnet_110(tmp_path)
    assert "| ours, preset `paper` | 94.00 [81.29, 106.71] % | 165 | 2 |" in text
    assert text.count("| not run |") == 1
