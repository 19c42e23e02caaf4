"""Where a claim's runs are not what it is about, no bound is applied; and which α plays which part."""

import numpy as np
import pandas as pd
import pytest
from evidence import CIFAR10, judged
from evidence import trained as trained_on
from records import DATA
from test_claims import around, the_papers_runs, trained

from understanding_bn.claims import roles
from understanding_bn.claims.catalogue import CLAIMS
from understanding_bn.claims.checks import NOT_RUN, PRECONDITION, REPRODUCED
from understanding_bn.claims.results import NotRunError

SEEDS = 5


def cells(folder, changes=None, data=CIFAR10, **columns):
    """BN at 0.1 and 0.0001 as the paper has them, but for these."""
    paths = []
    for alpha, test in ((0.1, 0.932), (0.0001, 0.813)):
        facts = {"arch": "resnet-110", "init": "xavier_uniform", "norm": "batch", "batch_size": 128, "epochs": 4}
        rows = {"seed": range(SEEDS), "epoch": 4, "test_accuracy": around(test), "alpha": alpha} | facts
        rows |= {"clean_train_accuracy": 0.995, "train_accuracy": 0.99, "learning_rate": alpha / 100, "fraction": 1.0}
        rows |= {"train_loss": 0.1, "test_loss": 0.2} | columns | (changes or {})
        table = pd.DataFrame(rows).assign(failure=pd.array([None] * SEEDS, dtype="string"))
        paths += trained_on(folder, table.assign(first_bad_step=pd.array([None] * SEEDS, dtype="Int64")), data)
    return paths


@pytest.mark.parametrize(
    ("columns", "data", "unmet"),
    [
        ({}, CIFAR10, []),
        ({}, CIFAR10 | {"tag": "cifar10-0123abcd"}, []),
        ({}, DATA, ["digits, not CIFAR-10"]),
        (
            {},
            CIFAR10 | {"tag": "cifar10-train100-test50", "train_images": 10_000},
            ["10,000 of CIFAR-10’s training images"],
        ),
        ({"arch": "resnet-56"}, CIFAR10, ["resnet-56, not resnet-110"]),
        ({"batch_size": 64}, CIFAR10, ["B = 64, not 128"]),
        ({"clean_train_accuracy": [0.995, 0.995, 0.9, 1, 1]}, CIFAR10, ["90.0 % clean train accuracy, not 99"]),
        ({"clean_train_accuracy": np.nan}, CIFAR10, ["its clean train accuracy is not recorded"]),
        ({"learning_rate": 0.01}, CIFAR10, ["has not fallen as scheduled"]),
    ],
)
def test_no_bound_where_a_precondition_is_not_met(tmp_path, columns, data, unmet):
    claim = judged(tmp_path, cells(tmp_path, columns, data))[1]
    assert claim["verdict"] == (PRECONDITION if unmet else REPRODUCED)
    for text in unmet:
        assert any(text in one for one in claim["unmet"]), claim["unmet"]
        assert text in claim["note"]
    assert bool(claim["unmet"]) == bool(unmet)
    # The value, its interval and the direction are shown all the same.
    assert claim["measured"] == pytest.approx(11.9, abs=0.01)
    assert claim["interval"][0] < 11.9 < claim["interval"][1]
    assert claim["direction"] == "as claimed"
    assert claim["checks"][0]["verdict"] == ("" if unmet else REPRODUCED)


def test_a_subset_with_the_papers_tag_is_no_papers_scale(tmp_path):
    claim = judged(tmp_path, cells(tmp_path, data=CIFAR10 | {"train_images": 49_999}))[1]
    assert claim["verdict"] == PRECONDITION


def test_claims_about_training_need_networks_that_have_converged():
    converged = {claim.id for claim in CLAIMS if claim.needs.converged}
    assert converged == {1, 2, 3, 4, 15, 19}
    assert {claim.id for claim in CLAIMS if not claim.needs.scale} == {6, 18}, "these hold for any network"


class Grid:
    """What `roles` asks of results: at which α each norm was trained, and at which it fails."""

    def __init__(self, **grid):
        self.grid, self.alphas_for = {norm.replace("_", "-"): cells for norm, cells in grid.items()}, {}

    def alphas(self, norm):
        return sorted(self.grid.get(norm, {}))

    def failed(self, norm, alpha):
        return pd.Series(self.grid[norm][alpha])


YES, NO, SOME = [True] * 3, [False] * 3, [True, False, False]


def test_the_papers_learning_rates_where_all_of_a_claims_were_run():
    grid = Grid(batch=dict.fromkeys([0.3, 0.1, 0.003, 0.0001], NO), none={0.003: YES, 0.001: NO, 0.0001: NO})
    assert roles.of_claim(grid, large="batch", middle="batch", small="batch") == (0.1, 0.003, 0.0001)
    assert roles.of_claim(grid, unstable="none", small="none") == (0.003, 0.0001)
    assert grid.alphas_for == {"large": 0.1, "middle": 0.003, "small": 0.0001, "unstable": 0.003}


def test_otherwise_all_of_them_follow_from_where_training_fails():
    grid = Grid(
        batch={1: SOME, 0.3: NO, 0.1: NO, 0.06: NO, 0.02: NO},
        none={0.3: YES, 0.1: SOME, 0.02: NO, 0.01: NO},
        batch_final={0.3: YES, 0.1: NO},
    )
    assert roles.of_claim(grid, large="batch", middle="batch", small="batch") == (0.3, 0.06, 0.02)
    assert roles.of_claim(grid, unstable="none", small="none") == (0.3, 0.02)
    assert roles.of_claim(grid, single_final="batch-final") == (0.1,)


@pytest.mark.parametrize(
    ("grid", "asked", "message"),
    [
        ({"batch": {0.1: NO}, "none": {0.1: NO}}, {"large": "batch", "small": "batch"}, "α = 0.1 is both"),
        ({"batch": {0.2: YES}, "none": {0.1: NO}}, {"large": "batch"}, "at which no seed fails"),
        ({"none": {0.1: SOME}}, {"unstable": "none"}, "at which every seed fails"),
        ({"none": {0.1: NO}}, {"large": "batch"}, "training with norm batch"),
        (
            {"batch": {0.2: NO, 0.1: NO}, "none": {0.1: NO}},
            {"large": "batch", "middle": "batch", "small": "batch"},
            "between 0.1 and 0.2",
        ),
    ],
)
def test_a_role_that_nothing_can_have(grid, asked, message):
    with pytest.raises(NotRunError, match=message):
        roles.of_claim(Grid(**grid), **asked)


def test_one_learning_rate_is_not_compared_with_itself(tmp_path):
    runs = [trained(tmp_path, norm, 0.05, around(0.9)) for norm in ("batch", "none")]
    claims = judged(tmp_path, runs)
    assert {claims[i]["verdict"] for i in (1, 3, 4)} == {NOT_RUN}
    assert "α = 0.05 is both" in claims[1]["note"]
    assert claims[2]["verdict"] == "not reproduced" or claims[2]["measured"] == pytest.approx(0, abs=1e-6)


def test_the_scope_names_learning_rates_that_stand_for_the_papers(tmp_path):
    runs = [trained(tmp_path, "batch", alpha, around(0.9)) for alpha in (0.5, 0.05)]
    runs += [trained(tmp_path, "none", 0.05, around(0.8))]
    claim = judged(tmp_path, runs)[1]
    assert "α = 0.5 for the paper's 0.1 (digitised), 0.05 for the paper's 0.0001 (digitised)" in claim["scope"]
    assert judged(tmp_path / "paper", the_papers_runs(tmp_path / "paper"))[1]["scope"].endswith("4 epochs")


def with_images(folder, norm, alpha, hits):
    """A cell of the paper's whose seeds classify these test images, (n, m) bool, correctly."""
    correct = [np.packbits(of_seed).tobytes() for of_seed in hits]
    facts = {"arch": "resnet-110", "init": "xavier_uniform", "norm": norm, "batch_size": 128, "epochs": 4}
    table = pd.DataFrame({"seed": range(len(hits)), "epoch": 4, "alpha": alpha, "test_correct": correct, **facts})
    table = table.assign(test_accuracy=hits.mean(axis=1), clean_train_accuracy=1.0, train_accuracy=1.0, fraction=1.0)
    table = table.assign(learning_rate=alpha / 100, train_loss=0.1, test_loss=0.2)
    table["failure"] = pd.array([None] * len(hits), dtype="string")
    return trained_on(folder, table, CIFAR10 | {"test_images": hits.shape[1]})


def test_the_choice_of_test_images_widens_an_interval(tmp_path):
    """Seeds that answer alike, on images that might have been others."""
    rng = np.random.default_rng(0)
    easy = rng.random(1003)
    few, many = (np.stack([easy + 0.01 * rng.random(1003) > bar for _ in range(5)]) for bar in (0.3, 0.1))
    runs = with_images(tmp_path, "batch", 0.1, many) + with_images(tmp_path, "batch", 0.0001, few)
    claim = judged(tmp_path, runs)[1]
    assert claim["method"] == "Student’s t over seeds and test images"
    low, high = claim["interval"]
    assert claim["measured"] == pytest.approx(100 * (many.mean() - few.mean()), rel=1e-5)
    share = (many & ~few).mean()
    assert (high - low) / 2 == pytest.approx(1.962 * 100 * (share * (1 - share) / 1003) ** 0.5, rel=0.1)
    errors = 100 * (1 - many.mean()), 100 * (1 - few.mean())
    assert claim["beside"] == (
        f"error rates {errors[0]:.3g} % and {errors[1]:.3g} %, ratio {errors[0] / errors[1]:.3g}"
    )
    assert "interval" in claim["checks"][0]
