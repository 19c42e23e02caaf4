"""Claims on made-up results whose truth is known."""

import importlib.util
import itertools
import math
import re

import numpy as np
import pandas as pd
import pytest
from evidence import CIFAR10, by_table, judged, measured, measured_at_start
from evidence import trained as trained_on
from records import finished

from understanding_bn.claims.catalogue import CLAIMS, FOLLOWUPS
from understanding_bn.claims.checks import INCONCLUSIVE, NOT_RUN, OPPOSITE, REFUTED, REPRODUCED
from understanding_bn.claims.results import Results
from understanding_bn.experiment.jobs import Matrices


def trained(folder, norm, alpha, test, train=None, failure=None, first_bad_step=None, **more):
    """A training cell of the paper's that has converged; `test` has one accuracy per seed."""
    facts = {"arch": "resnet-110", "init": "xavier_uniform", "norm": norm, "batch_size": 128, "epochs": 4}
    table = pd.DataFrame({"seed": range(len(test)), "epoch": 4, "test_accuracy": test, "alpha": alpha, **facts})
    table["train_accuracy"] = table["clean_train_accuracy"] = 1.0 if train is None else train
    table = table.assign(learning_rate=alpha / 100, fraction=1.0, train_loss=0.1, test_loss=0.2)
    table = table.assign(**more)
    table["failure"] = pd.array(failure or [None] * len(test), dtype="string")
    table["first_bad_step"] = pd.array(first_bad_step or [None] * len(test), dtype="Int64")
    (path,) = trained_on(folder, table)
    return path


SEEDS = 5


def around(mean, spread=0.002):
    """Values of five seeds with this mean, each mean with noise of its own."""
    noise = np.random.default_rng(round(10_000 * mean)).uniform(-1, 1, SEEDS)
    return mean + spread * (noise - noise.mean())


def the_papers_runs(tmp_path):
    return [
        trained(tmp_path, "batch", 0.1, around(0.932), train=[0.999] * SEEDS),
        trained(tmp_path, "batch", 0.003, around(0.903), train=[1.0] * SEEDS),
        trained(tmp_path, "batch", 0.0001, around(0.813), train=[0.992] * SEEDS),
        trained(tmp_path, "none", 0.0001, around(0.82)),
        trained(tmp_path, "none", 0.003, [np.nan] * SEEDS, failure=["overflow"] * SEEDS, first_bad_step=range(SEEDS)),
        trained(tmp_path, "batch-final", 0.03, around(0.901)),
    ]


def test_the_papers_numbers_reproduce_the_papers_claims(tmp_path):
    claims = judged(tmp_path, the_papers_runs(tmp_path))
    verdicts = {i: claims[i]["verdict"] for i in (1, 2, 3, 4, 5, 15)}
    assert set(verdicts.values()) == {REPRODUCED}, verdicts
    assert claims[1]["measured"] == pytest.approx(11.9, abs=0.01)
    assert claims[1]["interval"][0] < claims[1]["measured"] < claims[1]["interval"][1]
    assert claims[15]["measured"] == pytest.approx((0.901 - 0.82) / (0.932 - 0.82), rel=1e-3)
    assert len(claims[1]["runs"]) == 2
    assert {claims[i]["direction"] for i in (1, 3, 4, 15)} == {"as claimed"}
    assert {claims[i]["direction"] for i in (2, 5)} == {""}
    assert claims[1]["sign_flip_p"] == 2 ** (1 - SEEDS)
    assert [claims[i]["method"].split(" ")[0] for i in (1, 5, 15)] == ["Student’s", "Clopper–Pearson", "Fieller’s,"]
    assert CIFAR10["source"] in claims[1]["scope"]


def test_the_best_alpha_is_chosen_on_validation_where_every_run_has_it(tmp_path):
    """Not by the test accuracies that are compared, of which the larger of two is too large by chance."""
    accuracies = {("batch", 0.1): 0.93, ("batch", 0.003): 0.9, ("none", 0.0001): 0.8, ("batch-final", 0.03): 0.85}

    def measured(validation):
        paths = [
            trained(tmp_path, *cell, around(mean), validation_accuracy=validation.get(cell, 0.5))
            for cell, mean in accuracies.items()
        ]
        return judged(tmp_path, paths)[15]["measured"]

    assert measured({("batch", 0.003): 0.6}) == pytest.approx(0.05 / 0.1, rel=1e-3)
    assert measured({("batch", 0.1): 0.6}) == pytest.approx(0.05 / 0.13, rel=1e-3)
    assert measured({("none", 0.0001): np.nan, ("batch", 0.003): 0.6}) == pytest.approx(0.05 / 0.1, rel=1e-3)


def test_the_opposite_is_not_reproduced(tmp_path):
    inputs = [
        trained(tmp_path, "batch", 0.1, around(0.81), train=[1] * SEEDS),
        trained(tmp_path, "batch", 0.003, around(0.86)),
        trained(tmp_path, "batch", 0.0001, around(0.91), train=[0.995] * SEEDS),
        trained(tmp_path, "none", 0.0001, around(0.71)),
        trained(
            tmp_path,
            "none",
            0.003,
            [0.8, np.nan, 0.8, 0.8, 0.8],
            failure=[None, "NaN", None, None, None],
            first_bad_step=[None, 2, None, None, None],
        ),
    ]
    claims = judged(tmp_path, inputs)
    found = {i: claims[i]["verdict"] for i in (1, 2, 3, 4, 5)}
    assert found == {1: OPPOSITE, 2: REFUTED, 3: OPPOSITE, 4: OPPOSITE, 5: REFUTED}
    assert (claims[5]["measured"], claims[5]["seeds"]) == (0.2, SEEDS)
    assert claims[15]["verdict"] == NOT_RUN
    assert claims[15]["note"] == "needs training with norm batch-final"


def test_diverged_seeds_are_left_out_of_means_and_never_averaged(tmp_path):
    inputs = [
        trained(
            tmp_path,
            "batch",
            0.1,
            [0.93, np.nan, 0.95],
            failure=[None, "NaN", None],
            first_bad_step=[None, 9, None],
        ),
        trained(tmp_path, "batch", 0.0001, [0.80, 0.80, 0.80]),
    ]
    claim = judged(tmp_path, inputs)[1]
    assert claim["measured"] == pytest.approx(14)
    assert claim["seeds"] == 2
    assert claim["verdict"] == INCONCLUSIVE
    assert claim["note"] == "2 seeds are too few for a verdict: 3 are needed"


def test_every_run_is_counted_once_a_seed(tmp_path):
    """A seed that fails at one of two learning rates is no seed that fails at every one."""
    inputs = the_papers_runs(tmp_path)
    failure = ["overflow"] * (SEEDS - 1) + [None]
    inputs.append(trained(tmp_path, "none", 0.1, [np.nan] * (SEEDS - 1) + [0.9], failure=failure))
    claim = judged(tmp_path, inputs)[5]
    assert (claim["measured"], claim["seeds"], claim["verdict"]) == (0.8, SEEDS, REFUTED)


def test_equal_accuracies_are_no_difference(tmp_path):
    """0.1 + 0.2 is not 0.3 in floats, and such crumbs have a sign."""
    inputs = [trained(tmp_path, "batch", 0.1, [0.1 + 0.2] * 6), trained(tmp_path, "batch", 0.0001, [0.3] * 6)]
    claim = judged(tmp_path, inputs)[1]
    assert (claim["measured"], claim["direction"]) == (0, "unclear")


BAD = [np.nan] * 6


def six(mean):
    return [*around(mean), mean]


@pytest.mark.parametrize(
    ("layer", "verdict"),
    [
        # BN rises from 0.01 to 0.03 and falls to 0.1, which is as good as 0.02: that pair is not asked for.
        ({0.01: six(0.7), 0.02: six(0.8), 0.03: six(0.95), 0.1: six(0.85)}, REPRODUCED),
        ({0.01: six(0.97), 0.02: six(0.8), 0.03: six(0.95), 0.1: six(0.85)}, REFUTED),
        ({0.01: six(0.97), 0.03: six(0.95)}, OPPOSITE),
        # Diverged at 0.1, where BN falls: the same order; at 0.03, where BN is best: another one.
        ({0.03: six(0.95), 0.1: BAD}, REPRODUCED),
        ({0.03: [0.94, np.nan, 0.96, 0.94, 0.95, 0.96], 0.1: six(0.85)}, INCONCLUSIVE),
        # Six seeds of six are 3 % each, which is not beyond chance in two norms.
        ({0.03: BAD, 0.1: six(0.85)}, INCONCLUSIVE),
        ({0.03: BAD, 0.1: BAD}, INCONCLUSIVE),
        # BN itself does not order these.
        ({0.02: six(0.8), 0.1: six(0.9)}, INCONCLUSIVE),
        ({0.02: six(0.8)}, NOT_RUN),
    ],
)
def test_other_norms_in_the_order_of_batch_norm(tmp_path, layer, verdict):
    batch = {0.01: six(0.81), 0.02: six(0.907), 0.03: six(0.96), 0.1: six(0.907)}
    inputs = [trained(tmp_path, "batch", alpha, test) for alpha, test in batch.items()]
    for norm in ("layer", "group"):
        for alpha, test in layer.items():
            failure = ["overflow" if math.isnan(value) else None for value in test]
            inputs.append(trained(tmp_path, norm, alpha, test, failure=failure))
    claim = judged(tmp_path, inputs)[19]
    assert claim["verdict"] == verdict, claim
    pairs = set(itertools.combinations(sorted(layer), 2))
    ordered = pairs - {(0.02, 0.1)}  # BN orders all others; where there are none, its own order is the question
    asked = {tuple(sorted(map(float, re.findall(r"[\d.]+", check["name"])[:2]))) for check in claim["checks"]}
    assert asked == (ordered or pairs)


def test_nothing_run_nothing_claimed(tmp_path):
    table = pd.DataFrame({"factors": 1, "size": 4, "draw": [0] * 4, "rank": range(4), "singular_value": [2.0, 1, 1, 1]})
    only = finished(tmp_path, Matrices(size=4, factors=(1,), draws=1), table)
    claims = judged(tmp_path, [only])
    assert set(claims) == {*range(1, 21), *(claim.id for claim in FOLLOWUPS)}
    assert all(claims[i]["verdict"] == NOT_RUN and not claims[i]["runs"] for i in claims if i != 18)
    assert all(claims[i]["measured"] is None and claims[i]["note"] for i in claims if i != 18)
    assert claims[18]["verdict"] == NOT_RUN
    assert claims[18]["note"] == "needs random_matrices with two numbers of factors"


def test_table_1_as_the_paper_has_it(tmp_path):
    luck = np.repeat([0.9, 1.0, 1.1], 3)
    ratio = {"batch": luck * ([251.8, 112.8, 30.0] * 3), "none": luck * ([1.7, 2.6, 1.6] * 3)}
    columns = {"seed": np.repeat(range(3), 3), "layer": [18, 54, 108] * 3, "ratio": ratio}
    files = measured(tmp_path, "gradient_sums", a=1.0, b=1.0, **columns)
    assert judged(tmp_path, files)[13]["verdict"] == REPRODUCED


def test_one_class_for_all_images(tmp_path):
    rng = np.random.default_rng(0)

    def gradients(logits, labels):
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        return ((p - np.eye(3)[labels]) / len(labels)).ravel()

    labels = np.array([0, 1, 2, 1])
    spread = gradients(0.1 * rng.normal(size=(4, 3)), labels)
    column = gradients(rng.normal(size=(4, 3)) + np.array([0, 20, 0]), labels)
    index = pd.MultiIndex.from_product([range(4), range(3)], names=["image", "class"]).to_frame(index=False)
    shared = {"seed": np.repeat(range(SEEDS), 12), "image": np.tile(index["image"], SEEDS)}
    shared |= {"class": np.tile(index["class"], SEEDS), "label": labels[shared["image"]]}
    spread, column = np.tile(spread, SEEDS), np.tile(column, SEEDS)
    as_paper = measured(tmp_path / "1", "logit_gradients", gradient={"batch": spread, "none": column}, **shared)
    assert judged(tmp_path / "1", as_paper)[12]["verdict"] == REPRODUCED
    reverse = measured(tmp_path / "2", "logit_gradients", gradient={"batch": column, "none": spread}, **shared)
    assert judged(tmp_path / "2", reverse)[12]["verdict"] == REFUTED


def test_relative_loss_as_the_paper_has_it(tmp_path):
    steps = np.geomspace(1e-5, 0.3, 200)
    curves = {"batch": [], "none": []}
    for luck in (0.97, 1.0, 1.03):
        curves["batch"] += [np.where(steps < luck * 0.056, 0.9, np.minimum(3.0, 1 + 10 * luck * (steps - 0.056)))]
        curves["none"] += [np.where(steps < 8e-4 * luck**2, 0.5, np.where(steps < 1.8e-3 * luck, 10.0, 1e5))]
    both = {norm: np.concatenate(curve) for norm, curve in curves.items()}
    columns = {
        "seed": np.repeat(range(3), 200),
        "minibatch": 1,
        "step_size": np.tile(steps, 3),
        "relative_loss": both,
    }
    claim = judged(tmp_path, measured(tmp_path, "relative_loss", **columns))[8]
    assert claim["verdict"] == REPRODUCED
    assert [c["measured"] for c in claim["checks"]] == pytest.approx([70, 1.8e-3, 2.44], rel=0.06)


def test_activations_as_the_paper_has_them(tmp_path):
    layers = [6, 18, 30, 42, 54, 66, 78, 90, 102, 110]
    log_std = {
        "batch": [0.10, 0.62, 0.90, 0.05, 0.64, 0.97, 0.00, 0.57, 0.90, -0.85],
        "none": [-1.25, -1.15, -0.27, -0.23, 0.13, 0.88, 1.42, 2.2, 3.0, 1.97],
    }
    depth = np.linspace(-1, 1, 10)
    luck = np.concatenate([0.02 * number * depth for number in (-1, 0, 1)])
    variance = {norm: np.repeat(np.exp(2 * (np.tile(v, 3) + luck)), 2) for norm, v in log_std.items()}
    columns = {
        "site": "stream",
        "seed": np.repeat(range(3), 20),
        "layer": np.tile(np.repeat(layers, 2), 3),
    }
    columns |= {"channel": np.tile([0, 1], 30), "mean": 1.0, "variance": variance}
    claim = judged(tmp_path, measured(tmp_path, "channel_moments", **columns))[11]
    assert claim["verdict"] == REPRODUCED
    assert claim["checks"][0]["measured"] == pytest.approx(4.25, abs=1e-3)


def test_moments_along_a_step_that_overflows(tmp_path):
    # At 100 % layer 80 has overflowed: the last finite part of the step decides, and no infinity is averaged.
    rows = list(itertools.product(range(SEEDS), [0, 50, 100], [8, 44, 80]))
    size = {8: 1.4, 44: 3.8e3, 80: 3e8}

    def largest(seed, percent, layer):
        return np.inf if (percent, layer) == (100, 80) else size[layer] ** (1 + 0.01 * (seed - 2)) * (1 + percent)

    mean = [largest(*row) for row in rows]
    columns = {"seed": [r[0] for r in rows], "percent": [r[1] for r in rows], "layer": [r[2] for r in rows]}
    columns |= {"alpha": 0.1, "update": 1, "diverged": {"batch": False, "none": True}, "channel": 0}
    files = measured(tmp_path, "divergence_path", mean=mean, variance=np.square(mean), **columns)
    claims = judged(tmp_path, files)
    assert claims[9]["verdict"] == REPRODUCED
    assert claims[9]["checks"][0]["measured"] == pytest.approx(math.log(3.8e3 / 1.4), rel=1e-5)
    assert claims[10]["verdict"] == REPRODUCED


def searched(folder, by_depth, by_init, stable=lambda limit: True):
    """Searches without BN with one limit per seed, at each depth with Xavier and at depth 110 with others.

    `stable`: whether training is stable at a limit; if not, it is nowhere.
    """
    rows = []
    networks = [("xavier_uniform", depth, by_depth[depth]) for depth in sorted(by_depth, reverse=True)]  # as planned
    networks += [(init, 110, limits) for init, limits in by_init.items()]
    for init, depth, limits in networks:
        for seed, limit in enumerate(limits):
            for alpha, outcome in ((limit, "stable" if stable(limit) else "diverged"), (2 * limit, "diverged")):
                facts = {"init": init, "arch": f"resnet-{depth}", "batch_size": 4}
                rows.append(facts | {"seed": seed, "alpha": alpha, "outcome": outcome})
    both = pd.concat([pd.DataFrame(rows).assign(norm=norm) for norm in ("batch", "none")])
    return measured_at_start(folder, "max_learning_rate", both, batch_size=4)


def test_largest_stable_alpha_against_depth_and_initialisation(tmp_path):
    near = {"kaiming": [2e-4, 2e-4, 3e-4], "orthogonal": [5e-5, 1e-4, 1e-4]}
    falls = {8: [0.1, 0.2, 0.11], 20: [0.02, 0.03, 0.02], 110: [1e-4, 1e-4, 1.1e-4]}
    claims = judged(tmp_path / "1", searched(tmp_path / "1", falls, near))
    assert [claims[i]["verdict"] for i in (16, 17)] == [REPRODUCED, REPRODUCED]
    assert "B = 4," in claims[16]["scope"]
    assert claims[17]["measured"] == pytest.approx((math.log10(4) + math.log10(2) + math.log10(3)) / 3, rel=1e-5)
    rises = {8: [0.01, 0.012, 0.011], 110: [0.1, 0.1, 0.11]}
    far = {"kaiming": [1e-10, 1e-9, 1e-9], "orthogonal": [1e-4] * 3}
    claims = judged(tmp_path / "2", searched(tmp_path / "2", rises, far))
    assert [claims[i]["verdict"] for i in (16, 17)] == [OPPOSITE, REFUTED]


def test_a_search_without_a_bound_decides_nothing(tmp_path):
    files = searched(tmp_path, {8: [0.01, 0.01], 110: [0.1, 0.2]}, {}, lambda limit: limit != 0.01)
    claims = judged(tmp_path, files)
    assert claims[16]["verdict"] == claims[17]["verdict"] == NOT_RUN
    assert "wider range of α" in claims[16]["note"]
    assert "kaiming and orthogonal" in claims[17]["note"]


@pytest.mark.parametrize(
    ("slope", "alpha_slope", "verdict"), [(-1, 2, REPRODUCED), (-0.5, 2, REFUTED), (-1, 1, REPRODUCED)]
)
def test_noise_that_scales_as_the_bound_says_or_does_not(tmp_path, slope, alpha_slope, verdict):
    """That an update's noise is α² times the gradient's holds by definition, and decides nothing."""
    index = pd.MultiIndex.from_product([[0, 1, 2], [4, 16], [0.01, 0.1]], names=["seed", "batch_size", "alpha"])
    table = index.to_frame(index=False)
    noise = (1 + table["seed"]) * table["batch_size"] ** (slope + 0.01 * (table["seed"] - 1))
    columns = table.assign(noise=noise, update_noise=noise * table["alpha"] ** alpha_slope, sampling="epoch").to_dict(
        "list"
    )
    assert judged(tmp_path, measured(tmp_path, "gradient_noise", **columns))[6]["verdict"] == verdict


def test_low_rank_gradients_and_gradients_that_follow_means(tmp_path):
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([range(4), range(5), range(5)], names=["seed", "out_channel", "in_channel"])
    table = index.to_frame(index=False).assign(layer=45)
    outer = np.concatenate([np.outer(rng.random(5), rng.random(5)).ravel() for _ in range(4)])
    full = rng.random(100)
    for number, (batch, none, verdict) in enumerate([(full, outer, REPRODUCED), (outer, full, OPPOSITE)]):
        folder = tmp_path / str(number)
        files = measured(folder, "kernel_gradients", gradient={"batch": batch, "none": none}, **table.to_dict("list"))
        assert judged(folder, files)[14]["verdict"] == verdict
    channels = {"seed": np.repeat(range(6), 6), "layer": 2, "in_channel": np.tile(range(6), 6)}
    channels["input_mean"] = rng.random(36)
    for sign, verdict in ((1, REPRODUCED), (-1, OPPOSITE)):
        folder = tmp_path / f"means{sign}"
        gradient = sign * channels["input_mean"] + 2
        files = measured(folder, "input_mean_correlation", gradient=gradient, **channels)
        assert judged(folder, files)[20]["verdict"] == verdict


def test_the_catalogue_has_the_twenty_claims_and_figures_that_exist():
    assert [claim.id for claim in CLAIMS] == list(range(1, 21))
    assert all(importlib.util.find_spec(f"understanding_bn.figures.{claim.figure}") for claim in CLAIMS)


def test_the_longest_training_of_a_cell_counts_and_its_last_epoch(tmp_path):
    cell = {"arch": "resnet-8", "init": "any", "norm": "batch", "alpha": 0.1, "batch_size": 8}
    paths = []
    for epochs in (4, 2):
        rows = [cell | {"epochs": epochs, "seed": 0, "epoch": e, "test_accuracy": e / 10} for e in range(epochs, 0, -1)]
        paths += trained_on(tmp_path, pd.DataFrame(rows).assign(train_accuracy=0.5, failure=None))
    last = Results(by_table(paths)).final("batch", 0.1)
    assert last["epochs"].tolist() == [4]
    assert last["test_accuracy"].tolist() == pytest.approx([40])


def test_an_accuracy_that_two_claims_ask_for_counts_as_used_by_both(tmp_path):
    cell = {"arch": "resnet-8", "init": "any", "norm": "batch", "alpha": 0.1, "batch_size": 8, "epochs": 2}
    rows = [cell | {"seed": 0, "epoch": epoch, "train_accuracy": 0.5, "test_accuracy": epoch / 4} for epoch in (1, 2)]
    (path,) = trained_on(tmp_path, rows)
    results = Results(by_table([path]))
    for _ in range(2):
        results.forget()
        last = results.final("batch", 0.1)
        assert last["test_accuracy"].tolist() == [50]
        assert results.used == {str(path)}
        last["test_accuracy"] = 0  # the next one to ask must not see this
