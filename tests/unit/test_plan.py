"""Which jobs follow from a config, and what figures and claims are drawn from."""

import importlib
import inspect

import pytest
from small_configs import GRADIENTS, HESSIAN, JACOBIANS, SEARCH, START, config, entry

from understanding_bn.cell import Cell
from understanding_bn.experiment import load
from understanding_bn.experiment.load import resolve
from understanding_bn.experiment.plan import FIGURES, TABLES, cells, jobs, plan, readings, seed_blocks, times

ROOT = load.DEFAULT.parent
PRESETS = [load.DEFAULT, *sorted(load.PRESETS.glob("*.yaml"))]


# Cells


def test_cells_are_products_and_come_once():
    product = entry(norm=["batch", "none"], alpha=[0.1, 0.01], batch_size=[8, 16])
    grid = cells(config(product, entry(), entry(alpha=1), entry(alpha=1.0)))
    assert len(grid) == len(set(grid)) == 9
    assert len({cell.path for cell in grid}) == 9
    assert grid[0] == Cell(
        arch="resnet-8", init="xavier_uniform", norm="batch", alpha=0.1, batch_size=8, epochs=4
    )  # the first of every list, in the order of the entries
    assert [cell.alpha for cell in grid][-1] == 1


def test_a_cell_has_one_path():
    (cell,) = cells(config(entry(alpha=3e-05, init="kaiming", norm="batch-final", epochs=2.0)))
    assert cell.path == "resnet-8/kaiming/norm-batch-final/alpha-0.00003/batch-8/epochs-2"
    (job,) = jobs(config(entry(alpha=1, batch_size=64.0), seeds=2, seeds_per_job=2))[:-1]
    assert job.folder == "train/resnet-8/xavier_uniform/norm-batch/alpha-1/batch-64/epochs-4/seeds-0-1"
    assert job.values == f"{job.folder}/history.parquet"


def test_a_fraction_of_the_epochs_is_at_least_one():
    planned = config(entry(epochs=165), entry(alpha=0.2, epochs=2), epochs_fraction=0.1)
    assert [cell.epochs for cell in cells(planned)] == [16, 1]


def test_shares_of_training_are_whole_epochs_and_at_least_one():
    (cell,) = cells(config(entry(epochs=10)))
    assert [cell.epoch_at(share) for share in (0, 0.01, 0.25, 0.5, 1)] == [0, 1, 2, 5, 10]


def test_seeds_are_blocked():
    assert seed_blocks(config(seeds=5, seeds_per_job=2)) == [(0, 1), (2, 3), (4,)]
    assert seed_blocks(config(seeds=[7, 3], seeds_per_job=40)) == [(7, 3)]


def test_a_cell_is_trained_once_for_each_block_of_seeds():
    planned = plan(config(entry(alpha=[0.1, 0.2]), seeds=3, seeds_per_job=2))
    assert [(job.cell.alpha, job.seeds) for job in planned.train] == [
        (0.1, (0, 1)),
        (0.1, (2,)),
        (0.2, (0, 1)),
        (0.2, (2,)),
    ]


@pytest.mark.parametrize(
    ("grid", "main"),
    [
        ([], None),
        ([entry()], ("resnet-8", "xavier_uniform", 8)),
        ([entry(), entry(arch="resnet-14", alpha=[0.1, 0.2])], ("resnet-14", "xavier_uniform", 8)),
        ([entry(alpha=[1, 2, 3]), entry(batch_size=16, alpha=[1, 2, 3, 4])], ("resnet-8", "xavier_uniform", 16)),
        ([entry(init="kaiming"), entry()], ("resnet-8", "kaiming", 8)),  # the first of those with as many
        ([entry(), entry(), entry(init="kaiming")], ("resnet-8", "xavier_uniform", 8)),
        (
            [entry(norm=["batch", "none", "layer"]), entry(batch_size=4, alpha=[1, 2])],
            ("resnet-8", "xavier_uniform", 8),
        ),
    ],
)
def test_the_main_network_is_that_of_most_cells(grid, main):
    assert plan(config(*grid)).main == main


# Measurements at initialisation


def folders(made):
    return [(job.network.arch, job.network.init, job.network.norm) for job in made]


def test_the_search_varies_depth_for_every_norm_and_initialisation_for_none():
    start = {"max_learning_rate": SEARCH | {"archs": ["resnet-14", "resnet-8"], "inits": ["kaiming"]}}
    search = plan(config(start=start | {"gradient_sums": {"layers": [1]}})).initial
    assert folders(search["max_learning_rate"]) == [
        ("resnet-8", "xavier_uniform", "batch"),
        ("resnet-14", "xavier_uniform", "batch"),
        ("resnet-8", "xavier_uniform", "none"),
        ("resnet-14", "xavier_uniform", "none"),
        ("resnet-8", "kaiming", "none"),
    ]
    assert folders(search["gradient_sums"]) == [("resnet-8", "xavier_uniform", norm) for norm in ("batch", "none")]


def test_one_search_does_not_know_of_the_others():
    varied = SEARCH | {"archs": ["resnet-14"], "inits": ["kaiming"]}
    by_network = {
        (job.network.arch, job.network.init, job.network.norm): job.spec
        for job in plan(config(start={"max_learning_rate": varied})).initial["max_learning_rate"]
    }
    alone = plan(config(start={"max_learning_rate": SEARCH})).initial["max_learning_rate"]
    assert all(by_network[job.network.arch, job.network.init, job.network.norm] == job.spec for job in alone)


def test_networks_that_one_job_crosses_are_told_to_it():
    made = plan(config(start={"jacobian_conditioning": JACOBIANS})).initial["jacobian_conditioning"]
    assert folders(made) == [("resnet-8", "xavier_uniform", norm) for norm in ("batch", "none")]
    defaults = {"images": 1, "bn_modes": ["train", "eval"], "directions": "colours", "gaussian": False}
    assert made[0].options.model_dump(mode="json") == JACOBIANS | defaults | {"batch_size": [JACOBIANS["batch_size"]]}


def test_a_measurement_at_initialisation_is_one_job_for_all_seeds():
    (job, _) = plan(config(start={"logit_gradients": {}}, seeds=7, seeds_per_job=2)).initial["logit_gradients"]
    assert job.seeds == tuple(range(7))
    assert job.folder == "initialization/resnet-8/xavier_uniform/logit_gradients/norm-batch"
    assert (job.rule, job.trained, job.table) == ("initialization", False, "logit_gradients")
    assert job.values == f"{job.folder}/values.parquet"


def test_null_makes_no_measurement():
    assert not plan(config(start={"logit_gradients": None})).initial


# Readings


def test_readings_differ_from_the_presets_own_network_in_what_they_name():
    others = [{"arch": "resnet-padded-8"}, {"init": "kaiming"}, {"arch": "plain-8", "init": "kaiming"}]
    own = ("resnet-8", "xavier_uniform")
    assert readings(config(initialization={"readings": others})) == [
        own,
        ("resnet-padded-8", "xavier_uniform"),
        ("resnet-8", "kaiming"),
        ("plain-8", "kaiming"),
    ]
    assert readings(config(initialization={"readings": [{"init": "xavier_uniform"}, {"arch": "resnet-8"}]})) == [own]


def test_figures_5_and_6_and_table_1_are_made_on_every_reading():
    planned = plan(config(start=START, initialization={"readings": [{"init": "kaiming"}]}))
    assert set(planned.readings) == {"logit_gradients", "channel_moments"}
    for name, made in planned.readings.items():
        assert folders(made) == [
            ("resnet-8", init, norm) for norm in ("batch", "none") for init in ("xavier_uniform", "kaiming")
        ]
        assert set(planned.initial[name]) < set(made)
    assert len(planned.measured) == 3 * 2 + 2 * 2 + 1  # own network, other reading, random matrices


@pytest.mark.parametrize("others", [[], [{"init": "xavier_uniform"}]])
def test_one_reading_is_compared_with_nothing(others):
    planned = plan(config(start=START, initialization={"readings": others}))
    assert planned.readings == {}
    assert "readings" not in {draw.name for draw, inputs in planned.items.items() if inputs}


# Measurements on trained networks


def shares(grid, **options):
    """(α, epochs, norm, batch size): shares of training, for every cell in which gradients are measured."""
    planned = config(*grid, trained={"gradient_structure": GRADIENTS | options}, snapshots=[0.25, 0.5])
    measured = times(cells(planned), planned.trained.measurements.gradient_structure)
    return {(cell.alpha, cell.epochs, cell.norm, cell.batch_size): at for cell, at in measured.items()}


def test_before_training_each_network_is_measured_once():
    grid = [entry(alpha=[0.1, 0.2]), entry(epochs=9), entry(norm="none"), entry(batch_size=16)]
    assert shares(grid) == {
        (0.1, 4, "batch", 8): (0, 1),
        (0.2, 4, "batch", 8): (1,),  # the same network before training, whatever α and the number of epochs
        (0.1, 9, "batch", 8): (1,),
        (0.1, 4, "none", 8): (0, 1),
        (0.1, 4, "batch", 16): (0, 1),
    }
    assert shares(grid, at=[0]).keys() == {(0.1, 4, "batch", 8), (0.1, 4, "none", 8), (0.1, 4, "batch", 16)}


def test_shares_of_training_are_in_order_and_an_empty_list_measures_nothing():
    assert shares([entry()], at=[1, 0.25, 0, 0.5]) == {(0.1, 4, "batch", 8): (0, 0.25, 0.5, 1)}
    assert shares([entry()], at=[]) == {}


@pytest.mark.parametrize(
    ("where", "count"),
    [({}, 8), ({"norm": ["none"]}, 4), ({"norm": ["none"], "batch_size": [8]}, 2), ({"arch": ["resnet-14"]}, 0)],
)
def test_where_chooses_cells_by_their_factors(where, count):
    grid = [entry(norm=["batch", "none"], alpha=[0.1, 0.2], batch_size=[8, 16])]
    assert len(shares(grid, where=where)) == count


def test_before_training_a_network_is_measured_in_the_first_cell_that_is_chosen():
    grid = [entry(alpha=0.1), entry(alpha=0.2, batch_size=[8, 16])]
    assert shares(grid, where={"batch_size": [16]}) == {(0.2, 4, "batch", 16): (0, 1)}


def test_a_trained_network_is_measured_in_the_blocks_in_which_it_was_trained():
    planned = plan(config(entry(), trained={"hessian_spectrum": HESSIAN}, seeds=3, seeds_per_job=2))
    made = planned.trained["hessian_spectrum"]
    assert [job.seeds for job in made] == [job.seeds for job in planned.train] == [(0, 1), (2,)]
    assert made[0].folder == f"trained/hessian_spectrum/{planned.train[0].cell.path}/seeds-0-1"
    assert (made[0].rule, made[0].trained) == ("trained", True)


def test_a_job_on_a_trained_network_does_not_know_where_else_it_is_measured():
    grid = [entry(norm=["batch", "none"])]
    chosen = plan(config(*grid, trained={"hessian_spectrum": HESSIAN | {"where": {"norm": ["none"]}}}))
    (job,) = chosen.trained["hessian_spectrum"]
    assert job in plan(config(*grid, trained={"hessian_spectrum": HESSIAN})).trained["hessian_spectrum"]


# What claims and figures rest on


def test_claims_rest_on_every_job_but_other_readings():
    trained = {"gradient_structure": GRADIENTS, "hessian_spectrum": HESSIAN | {"at": []}}
    planned = plan(config(entry(), start=START, trained=trained, initialization={"readings": [{"init": "kaiming"}]}))
    assert list(planned.evidence) == [
        "histories",
        "channel_moments",
        "logit_gradients",
        "kernel_gradients",
        "gradient_structure",
        "random_matrices",
    ]
    used = [job for made in planned.evidence.values() for job in made]
    assert {job.network.init for job in set(planned.measured) - set(used)} == {"kaiming"}
    assert all(job.table == table for table, made in planned.evidence.items() for job in made)
    assert list(plan(config()).evidence) == ["random_matrices"]


def test_training_comes_first_and_every_job_once():
    planned = plan(config(entry(), start=START, trained={"gradient_structure": GRADIENTS}))
    assert [job.rule for job in planned.measured] == [
        "train",
        *["initialization"] * 6,
        "trained",
        "random_matrices",
    ]


def drawn(config):
    """For every figure and table that is drawn, (arch, norm, α, B) of the histories that it shows, and its tables."""
    inputs = {draw.name: tables for draw, tables in plan(config).items.items() if tables}
    of_cells = {
        name: {(job.cell.arch, job.cell.norm, job.cell.alpha, job.cell.batch_size) for job in tables["histories"]}
        for name, tables in inputs.items()
        if "histories" in tables
    }
    return of_cells, {name: set(tables) for name, tables in inputs.items()}


def test_fig1_shows_every_network():
    of_cells, _ = drawn(config(entry(norm=["batch", "none"]), entry(arch="resnet-14"), entry(batch_size=16)))
    others = {("resnet-14", "batch", 0.1, 8), ("resnet-8", "batch", 0.1, 16)}
    assert of_cells == {"fig1_accuracy": {("resnet-8", "batch", 0.1, 8), ("resnet-8", "none", 0.1, 8)} | others}


def norms(config):
    of_cells, _ = drawn(config)
    return {name: {norm for _, norm, *_ in shown} for name, shown in of_cells.items() if name != "fig1_accuracy"}


def test_norms_are_compared_with_batch_norm_and_none():
    every = ["layer", "batch", "group", "none", "batch-final"]
    assert norms(config(entry(norm=every))) == {
        "single_final_bn": {"batch", "none", "batch-final"},
        "other_norms": {"batch", "none", "layer", "group"},
    }
    assert norms(config(entry(norm=["batch", "none"]))) == {}
    assert norms(config(entry(norm=["batch", "batch-final"]))) == {"single_final_bn": {"batch", "batch-final"}}
    assert norms(config(entry(norm="layer"))) == {"other_norms": {"layer"}}
    # A norm that only another network was trained with is not compared.
    assert norms(config(entry(norm=["batch", "none"]), entry(norm="layer", arch="resnet-14"))) == {}


def test_the_grid_over_alpha_and_batch_size_needs_several_batch_sizes_of_the_main_network():
    trained = {"gradient_structure": GRADIENTS}
    _, tables = drawn(config(entry(batch_size=[8, 16]), trained=trained))
    assert tables["alpha_batch_grid"] == {"histories", "gradient_structure"}
    for grid in ([entry()], [entry(alpha=[0.1, 0.2]), entry(arch="resnet-14", batch_size=16)]):
        assert "alpha_batch_grid" not in drawn(config(*grid, trained=trained))[1]
    assert "alpha_batch_grid" not in drawn(config(entry(batch_size=[8, 16])))[1]


def test_figures_of_trained_networks_show_every_history():
    grid = [entry(), entry(arch="resnet-14")]
    of_cells, tables = drawn(config(*grid, trained={"hessian_spectrum": HESSIAN | {"where": {"arch": ["resnet-14"]}}}))
    assert of_cells["hessian_spectrum"] == {(arch, "batch", 0.1, 8) for arch in ("resnet-8", "resnet-14")}
    assert tables["hessian_spectrum"] == {"histories", "hessian_spectrum"}
    assert not {"noise_along_training", "noise_by_architecture"} & set(tables)


def test_a_figure_of_initialisation_is_drawn_from_its_measurement():
    """Of every preset, nothing but what it measures."""
    sources = {
        "fig2_gradient_histogram": "gradient_histogram",
        "fig3_relative_loss": "relative_loss",
        "fig4_divergence_heatmap": "divergence_path",
        "fig5_channel_moments": "channel_moments",
        "fig6_logit_gradients": "logit_gradients",
        "fig7_kernel_gradients": "kernel_gradients",
        "table1_gradient_sums": "gradient_sums",
        **{name: name for name in ("max_learning_rate", "gradient_noise", "input_mean_correlation")},
        "jacobian_conditioning": "jacobian_conditioning",
    }
    planned = plan(resolve(load.load(load.DEFAULT)))
    explanations = plan(resolve(load.load(load.PRESETS / "explanations.yaml")))
    of_edge = {draw.name: tables for draw, tables in explanations.items.items()}["edge_of_stability"]
    assert of_edge == {"edge_of_stability": explanations.initial["edge_of_stability"]}
    by_depth = plan(resolve(load.load(load.PRESETS / "cifar10-depth.yaml")))
    of_depths = {draw.name: tables for draw, tables in by_depth.items.items()}["noise_by_depth"]
    assert of_depths == {"noise_by_depth": by_depth.initial["noise_by_depth"]}
    inputs = {draw.name: tables for draw, tables in planned.items.items()}
    assert {name: inputs[name] for name in sources} == {
        name: {table: planned.initial[table]} for name, table in sources.items()
    }
    assert inputs["fig8_singular_values"] == {"random_matrices": [planned.matrices]}
    less = plan(config(start={"logit_gradients": {}}))
    assert [draw.name for draw, tables in less.items.items() if tables] == [
        "fig6_logit_gradients",
        "fig8_singular_values",
    ]


def test_readings_are_compared_over_all_of_their_networks():
    planned = plan(config(start=START, initialization={"readings": [{"init": "kaiming"}]}))
    (inputs,) = [tables for draw, tables in planned.items.items() if draw.name == "readings"]
    assert inputs == planned.readings


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_figure_gets_the_tables_that_it_is_drawn_from(path):
    for draw, inputs in plan(resolve(load.load(path))).items.items():
        module = importlib.import_module(f"understanding_bn.figures.{draw.name}")
        function = module.draw if draw.kind == "figures" else module.tabulate
        parameters = inspect.signature(function).parameters.values()
        needed = {p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD}
        assert not inputs or needed <= set(inputs), draw.name
        named = {p.name for p in parameters}
        assert set(inputs) <= named or any(p.kind is p.VAR_KEYWORD for p in parameters), draw.name


def test_every_figure_and_table_has_a_name_a_place_and_a_caption():
    draws = list(plan(config()).items)
    assert [draw.name for draw in draws] == [*FIGURES, *TABLES]
    assert {draw.kind for draw in draws if draw.name in TABLES} == {"tables"}
    assert all((ROOT / "workflow/report" / f"{draw.name}.rst").is_file() for draw in draws)
    by_name = {draw.name: draw for draw in draws}
    assert (by_name["fig3_relative_loss"].shown, by_name["fig3_relative_loss"].short) == (
        "figures/fig3_relative_loss.png",
        "fig3",
    )
    assert by_name["table1_gradient_sums"].shown == "tables/table1_gradient_sums.md"
    assert (by_name["table1_gradient_sums"].short, by_name["other_norms"].short) == ("table1", None)


# The paper


def test_the_papers_grid_is_of_the_size_that_it_was():
    """165, 1320 and 2400 epochs at its learning rates, five seeds each."""
    paper = plan(resolve(load.load(load.PRESETS / "paper.yaml")))
    short = plan(resolve(load.load(load.PRESETS / "paper-short.yaml")))
    assert len(paper.train) == 5 * (3 * 2 + 3 * 2 + 1 + 2 * 3)
    assert [cell.epochs for cell in cells(short.config)] == [round(cell.epochs / 10) for cell in cells(paper.config)]
    assert paper.main == ("resnet-110", "xavier_uniform", 128)
