"""Made-up rows of runs over α and B, and of what is measured on their networks."""

import itertools

CELL = {"dataset": "digits", "arch": "resnet-20", "init": "xavier_uniform", "epochs": 20}
ALPHAS, SIZES, SEEDS = (0.16, 0.04, 0.01), (64, 16, 256), range(3)


def run(norm, alpha, size, seed, accuracy=0.9, failure=None, **changes):
    """The last row of a training history."""
    facts = CELL | {"norm": norm, "alpha": alpha, "batch_size": size, "seed": seed, "epoch": 20, "fraction": 1.0}
    measured = {"learning_rate": alpha, "train_accuracy": 0.99, "test_accuracy": accuracy, "train_loss": 0.1}
    measured |= {"test_loss": 0.1 + accuracy, "failure": failure, "first_bad_step": None}
    return facts | measured | changes


def gradients(norm, alpha, size, seed, epoch=20, layers=None, **values):
    """Rows of gradient_structure for one network."""
    values = {"noise": 2.0, "constant": 2.0 * size, "gradient_norm2": 0.5, "layer_variation": 1.0} | values
    values |= {"minibatch_rank": 3.0} | ({"gradient_norm2": values["gradient_norm2"]})
    facts = CELL | {"norm": norm, "alpha": alpha, "batch_size": size, "seed": seed, "epoch": epoch}
    facts |= {"fraction": epoch / 20, "bn_mode": "train" if norm == "batch" else "none"}
    rows = [facts | {"block": "all", "quantity": name, "value": value} for name, value in values.items()]
    shared = {"noise": 0.0, "entry_variance": 1.0, "unit_variation": 0.5, "rank": 4.0, "full_rank": 16.0}
    for layer, squared in (layers or {2: 1.0, 3: 1.0}).items():
        of_layer = shared | {"gradient_norm2": squared}
        rows += [facts | {"block": str(layer), "quantity": name, "value": value} for name, value in of_layer.items()]
    return rows


def curvature(norm, alpha, size, seed, top=10.0, trace=5.0, spread=1.0, **changes):
    """Rows of hessian_spectrum for one network: a top eigenvalue, a trace of two probes, a symmetric density."""
    facts = CELL | {"norm": norm, "alpha": alpha, "batch_size": size, "seed": seed, "epoch": 20, "fraction": 1.0}
    facts |= {"bn_mode": "train" if norm == "batch" else "none", "block": "all", "index": 0} | changes
    rows = [facts | {"kind": "top", "value": top}]
    for probe in (0, 1):
        rows += [facts | {"kind": "trace", "value": trace + probe - 0.5, "probe": probe}]
        rows += [facts | {"kind": "node", "value": v, "weight": 0.5, "probe": probe} for v in (-spread, spread)]
    return rows


def grid(*norms):
    return itertools.product(norms, ALPHAS, SIZES, SEEDS)
