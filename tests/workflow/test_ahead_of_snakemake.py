"""The target `ahead`: one process trains a grid, and the next run takes the results."""

import pytest
from checkouts import cells, undisturbed

TAKEN = "another start of this job has finished it: its results are taken"


@pytest.mark.slow
def test_what_was_trained_ahead_is_taken(checkout, digits_path, tmp_path):
    config = cells(checkout, {"norm": ["batch", "none"], "epochs": 2})
    settings = ["--configfile", config, "--config", "lanes=2"]
    done = checkout.run("ahead", *settings, tiny=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    results = checkout.folder / "results/cells"
    assert len(list(results.rglob(".*.finished/run.json"))) == 2
    assert not list(results.rglob("seeds-0/run.json"))
    done = checkout.run("fig1", *settings, tiny=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (done.stdout + done.stderr).count(TAKEN) == 2
    assert not list(results.rglob(".*.finished"))
    undisturbed(checkout, digits_path, tmp_path)
