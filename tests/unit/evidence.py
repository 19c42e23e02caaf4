"""Made-up results that claims are judged on, written as their jobs would leave them."""

import json

import pandas as pd
from records import DATA, finished, job, training

from understanding_bn import record
from understanding_bn.cell import Cell, Network
from understanding_bn.claims import judging
from understanding_bn.experiment import load
from understanding_bn.experiment.jobs import MEASUREMENTS, Measure
from understanding_bn.settings import Augmentation, Optimiser

NETWORK = ["arch", "init", "norm"]
CELL = [*NETWORK, "alpha", "batch_size", "epochs"]
# The paper's data; its settings are ResNet-110 with B = 128. Elsewhere no bound is applied.
CIFAR10 = DATA | {"dataset": "cifar10", "tag": "cifar10", "train_images": 50_000, "test_images": 10_000, "flip": True}
BATCH_SIZE = 128
ANY_ALPHA = 1.0  # of the cell in which a network is measured before training; its rows name none
# Options of measurements that the default preset does not make.
AT_START = {
    "edge_of_stability": {"descents": [{"loss": "mse", "alphas": {"default": [0.1]}}], "updates": 2, "every": 1},
    "branch_variance": {"networks": {"archs": ["resnet-8"], "inits": ["kaiming"]}, "batch_size": 8},
    "feature_rank": {"networks": {"archs": ["plain-8"], "inits": ["kaiming"]}, "batch_size": 8},
    "gradient_correlation": {
        "networks": {"archs": ["plain-8"], "inits": ["kaiming"]},
        "batch_size": 8,
        "minibatches": 2,
    },
    "initial_sharpness": {
        "networks": {"archs": ["resnet-8"], "inits": ["kaiming"]},
        "subset": 8,
        "updates": 2,
        "smallest_alpha": 0.1,
        "largest_alpha": 1,
        "steps_per_decade": 1,
        "batch_size": 4,
    },
    "equivalent_schedule": {"alpha": 0.1, "weight_decay": 0.005, "updates": 50},
    "effective_learning_rate": {"alphas": [0.1], "weight_decays": [0.01], "updates": 4, "batch_size": 8, "held_out": 9},
}
AT_END = {
    "gradient_structure": {"at": [1.0], "minibatches": 2},
    "hessian_spectrum": {"at": [1.0], "subset": 1000, "top": 2, "probes": 2, "steps": 10},
    "covariate_shift": {"at": [1.0]},
    "landscape_smoothness": {"at": [1.0], "at_losses": [1.0], "minibatches": 2},
}


def trained(results, rows, data=CIFAR10):
    """Histories, rows of any number of cells: one training job for each."""
    paths = []
    for factors, history in pd.DataFrame(rows).groupby(CELL, sort=False):
        made = job(_seeds(history), **dict(zip(CELL, factors, strict=True)))
        paths.append(finished(results, made, history, data, training=training(made.seeds)))
    return paths


def measured_at_start(results, name, rows, **options):
    """Values of a measurement at initialisation, one job for each network; options as in config.yaml but for these."""
    start = load.resolve(load.load(None)).initialization
    listed = getattr(start.measurements, name) or MEASUREMENTS[name].model_validate(AT_START[name])
    options = listed.model_copy(update=options)
    if "batch_size" in type(options).model_fields and "batch_size" not in options.model_fields_set:
        options = options.model_copy(update={"batch_size": BATCH_SIZE})
    paths = []
    for factors, values in pd.DataFrame(rows).groupby(NETWORK, sort=False):
        network = Network(**dict(zip(NETWORK, factors, strict=True)), batch_size=BATCH_SIZE)
        paths.append(_measured(results, name, network, options, values))
    return paths


def measured(folder, name, **columns):
    """Values of a measurement with batch norm and without; a column may differ between them."""
    facts = {"arch": "resnet-110", "init": "xavier_uniform", "batch_size": 4}
    files = []
    for norm in ("batch", "none"):
        rows = {key: value[norm] if isinstance(value, dict) else value for key, value in columns.items()}
        files += measured_at_start(folder, name, pd.DataFrame({"norm": norm, **facts, **rows}))
    return files


def measured_at_end(results, name, rows):
    """Values of a measurement on trained networks, one job for each cell."""
    options = MEASUREMENTS[name].model_validate(AT_END[name])
    table = pd.DataFrame(rows)
    paths = []
    for factors, values in table.groupby([*NETWORK, table["alpha"].fillna(ANY_ALPHA), *CELL[4:]], sort=False):
        paths.append(_measured(results, name, Cell(**dict(zip(CELL, factors, strict=True))), options, values))
    return paths


def by_table(paths):
    """These files by the name of the table that they are a part of."""
    tables = {}
    for path in paths:
        tables.setdefault(record.read(path.parent / "run.json").job.table, []).append(path)
    return tables


def judged(folder, paths):
    """Every claim as it is judged on these files, by its number."""
    written = folder / "claims.json", folder / "followups.json"
    judging.run(by_table(paths), *written)
    return {entry["id"]: entry for path in written for entry in json.loads(path.read_text())}


def _measured(results, name, network, options, values):
    shared = {"optimiser": Optimiser(), "augmentation": Augmentation(flip=False)}
    made = Measure(measurement=name, network=network, options=options, seeds=_seeds(values), **shared)
    return finished(results, made, values, CIFAR10)


def _seeds(table):
    return tuple(map(int, table["seed"].unique()))
