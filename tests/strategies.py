"""Configs for property tests: valid ones, drawn from the whole schema. Mistakes are made of them in mistakes.py."""

import functools
from typing import Any

from hypothesis import strategies as st

from understanding_bn import architecture, plugins
from understanding_bn.experiment.config import RESERVED

ARCHS = [f"{family}-{6 * n + 2}" for family in architecture.SHORTCUTS for n in range(1, 20)]
INITS = plugins.names("init")
NORMS = ["ghost-1" if name == plugins.GHOST else name for name in plugins.names("norm")]  # groups of 1 go with any B
FEW_NAMES = ("dataset", "site")  # without its last letter, none of their values is another one

# Names that mean something to a shell, a file system, Snakemake, Python's formatting or a terminal.
HOSTILE = [
    *("", " ", ".", "..", "../up", "/etc/passwd", "a/b", "a\\b", "~", "~root", "-rf", "--help", "a b", "a\tb", "a\nb"),
    *("resnet-8\n", "batch\n", "digits\n", "quick\n", "a\rb", "a\0b", "a;b", "a|b", "a&b", "a>b", "$(touch pwned)"),
    *("`touch pwned`", "$HOME", "${x}", "{x}", "{{x}}", "{wildcards.norm}", "%s", "*", "?", "[a]", "!", "#", "'", '"'),
    *("naïve", "α", "resnet-१४", "resnet-8\u2028", "\u202e", "\ud800", "batch ", " batch", "BATCH", "x" * 3000),
    *("resnet-8; touch pwned", "quick$(touch pwned)", "con:aux", "a=b", "a,b", "resnet-8\x85"),
]


@functools.cache
def archs(deepest: int = 10**6) -> st.SearchStrategy[str]:
    """Names of networks of at most this depth."""
    return st.sampled_from([arch for arch in ARCHS if int(arch.rsplit("-", 1)[1]) <= deepest])


@functools.cache
def whole(low: int, high: int) -> st.SearchStrategy[int | float]:
    """Whole numbers, some as YAML reads 64.0."""
    return st.integers(low, high) | st.integers(low, high).map(float)


@functools.cache
def alphas() -> st.SearchStrategy[float]:
    """Learning rates, whole ones too."""
    return st.floats(1e-30, 1000) | st.integers(1, 1000) | st.sampled_from([0.1, 0.003, 1e-4, 3e-05])


@functools.cache
def shares(low: float = 0, **options: bool) -> st.SearchStrategy[float]:
    """Numbers up to 1, without the very small ones that tests with torch flush to zero."""
    return st.floats(low, 1, allow_subnormal=False, **options)


def several(values: st.SearchStrategy, most: int = 3, least: int = 1) -> st.SearchStrategy[list]:
    """Lists of distinct values."""
    return st.lists(values, min_size=least, max_size=most, unique=True)


def one_or_several(values: st.SearchStrategy, most: int = 3) -> st.SearchStrategy:
    """A value as it is, or a list of distinct ones."""
    return values | several(values, most)


@functools.cache
def presets() -> st.SearchStrategy[str]:
    """Names of results folders."""
    return st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True).filter(lambda name: name not in RESERVED)


@functools.cache
def folders() -> st.SearchStrategy[str]:
    """Names that folders can have, whatever they mean to a shell."""
    harmless = st.text(
        st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="{}"), min_size=1, max_size=40
    )
    return harmless | st.sampled_from(["my data; touch pwned $(touch pwned2) 'q'", "-rf", "~/data", '"', "`id`"])


@functools.cache
def grids(largest_batch: int, small: bool) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Grids of training runs; `small` ones have few cells, and at least one."""
    most = 2 if small else 4
    required = {
        "norm": one_or_several(st.sampled_from(NORMS), most),
        "alpha": one_or_several(alphas(), most),
        "epochs": whole(1, 100_000),
    }
    optional = {
        "arch": one_or_several(archs(), most),
        "init": one_or_several(st.sampled_from(INITS), most),
        "batch_size": one_or_several(whole(2, largest_batch), most),
    }
    entries = st.fixed_dictionaries(required, optional=optional)
    return st.lists(entries, min_size=1, max_size=2) if small else st.lists(entries, max_size=3)


@st.composite
def searches(draw, largest_batch: int) -> dict[str, Any]:
    """Options of the search for the largest learning rate; its smallest one is always on the grid."""
    low = draw(st.integers(-20, 1))
    high = draw(st.integers(low + 1, 3))
    options = {"archs": several(archs(), 2), "inits": several(st.sampled_from(INITS), 2)}
    required = {"batch_size": whole(2, largest_batch), "updates": whole(2, 100_000), "steps_per_decade": whole(1, 100)}
    search = draw(st.fixed_dictionaries(required, optional=options))
    return search | {"smallest_alpha": 10.0**low, "largest_alpha": 10.0**high}


@st.composite
def noises(draw, largest_batch: int) -> dict[str, Any]:
    """Options of the noise at initialisation; an epoch has the mini-batches of all sizes, or of two, with samplings."""
    sizes = draw(several(st.integers(2, largest_batch // 2), least=2))
    samplings = draw(several(st.sampled_from(["replacement", "subset"]), 2, least=0))
    required = {
        "minibatches": whole(2, largest_batch // sorted(sizes)[1 if samplings else -1]),
        "alphas": several(alphas(), least=2),
    }
    return draw(st.fixed_dictionaries(required)) | {"batch_sizes": sizes, "samplings": samplings}


@st.composite
def trained(draw, snapshots: list[float], largest_batch: int) -> dict[str, Any]:
    """The block of what is measured on trained networks; every network has the layers asked for."""
    factors = {
        "arch": several(archs(), 2),
        "init": several(st.sampled_from(INITS), 2),
        "norm": several(st.sampled_from(NORMS), 2),
        "batch_size": several(whole(2, largest_batch), 2),
    }
    shared = {"at": several(st.sampled_from([0, 1, *snapshots]), least=0)}
    where = {"where": st.fixed_dictionaries({}, optional=factors)}
    gradients = {"minibatches": whole(2, 100_000)}
    hessian = {name: whole(2, 1000) for name in ("top", "probes", "steps")}
    hessian |= {"subset": whole(2, min(1000, largest_batch))}
    modes = {"bn_modes": several(st.sampled_from(["train", "eval"])), "layers": several(whole(1, 8), least=0)}
    modes |= {"batch_size": whole(2, largest_batch)}
    blocks = {
        "gradient_structure": st.fixed_dictionaries(shared | gradients, optional=where | {"samples": whole(0, 99)}),
        "hessian_spectrum": st.fixed_dictionaries(shared | hessian, optional=where | modes),
        "covariate_shift": st.fixed_dictionaries(
            {"at": several(st.sampled_from([1, *snapshots]), least=0)},
            optional=where | {"warm_up": whole(0, 99), "updates": whole(1, 99)},
        ),
        "landscape_smoothness": st.fixed_dictionaries(
            {"at": several(st.sampled_from([1, *snapshots]), least=0), "minibatches": whole(1, 10_000)},
            optional=where | {"steps": whole(2, 100)},
        ),
    }
    return {"measurements": draw(st.fixed_dictionaries({}, optional=blocks))}


def edges(most: int) -> st.SearchStrategy[dict[str, Any]]:
    """Descents of each loss and momentum once, on at most so many images."""
    rates = st.fixed_dictionaries({"default": several(alphas())}, optional=dict.fromkeys(NORMS, several(alphas())))
    kind = {"loss": st.sampled_from(["cross_entropy", "mse"]), "momentum": st.sampled_from([0, 0.5, 0.9])}
    descent = st.fixed_dictionaries(kind | {"alphas": rates})
    descents = st.lists(descent, min_size=1, max_size=3, unique_by=lambda one: (one["loss"], one["momentum"]))
    return st.fixed_dictionaries(
        {"descents": descents, "updates": whole(1, 1000), "every": whole(1, 1000)},
        optional={"images": whole(0, most), "stop_at": st.sampled_from([0, 0.1, 1])},
    )


@st.composite
def measurements(draw, depth: int, shallowest: int, largest_batch: int) -> dict[str, Any]:
    """Any selection of measurements on a network of `depth` layers; the shallowest reading has `shallowest`."""
    steps = draw(several(st.floats(1e-30, 1000), 2, least=2).map(sorted))
    rates = st.fixed_dictionaries({"default": alphas()}, optional=dict.fromkeys(NORMS, alphas()))
    options = {
        "gradient_histogram": {"layer": whole(1, depth - 1), "minibatches": whole(1, 10_000)},
        "relative_loss": {
            "alpha": rates,
            "minibatches": several(whole(1, 1000)),
            "smallest_step": st.just(steps[0]),
            "largest_step": st.just(steps[1]),
            "steps_per_decade": whole(1, 1000),
        },
        "divergence_path": {
            "alpha": alphas(),
            "layers": several(whole(1, depth - 1)),
            "percent_step": st.sampled_from([1, 2, 4, 5.0, 10, 20, 25, 50, 100]),
            "most_updates": whole(1, 100_000),
            "site": st.sampled_from(["convolution", "stream"]),
        },
        "channel_moments": {"layers": several(whole(1, shallowest))},
        "logit_gradients": {},
        "gradient_sums": {"layers": several(whole(1, shallowest - 1))},
        "kernel_gradients": {"layer": whole(1, depth - 1)},
        "input_mean_correlation": {},
    }
    blocks = {}
    for name, keys in options.items():
        layers = {key: keys.pop(key) for key in ("layer", "layers") if key in keys}  # each has a default
        blocks[name] = st.fixed_dictionaries(keys, optional=layers)
    blocks["max_learning_rate"] = searches(largest_batch)
    blocks["gradient_noise"] = noises(largest_batch)
    blocks["edge_of_stability"] = edges(min(largest_batch, 1437))
    networks = {"archs": several(archs()), "inits": several(st.sampled_from(INITS))}
    blocks["jacobian_conditioning"] = st.fixed_dictionaries(
        {
            "networks": st.fixed_dictionaries(networks),
            "batch_size": whole(2, largest_batch) | several(whole(2, largest_batch), 3),
        },
        optional={
            "images": whole(1, 2),
            "bn_modes": several(st.sampled_from(["train", "eval"]), 2),
            "directions": st.sampled_from(["colours", "grey"]),
            "gaussian": st.booleans(),
        },
    )
    schedule = {"alpha": alphas(), "weight_decay": st.floats(1e-30, 1e-5), "updates": whole(1, 1000)}
    blocks["equivalent_schedule"] = st.fixed_dictionaries(schedule)
    least = draw(whole(1, 1000))
    blocks["noise_by_depth"] = st.fixed_dictionaries(
        {
            "networks": st.fixed_dictionaries(networks),
            "batch_size": whole(2, largest_batch),
            "minibatches": whole(max(2, least), 100_000),
            "hessian_minibatches": st.just(least),
        }
    )
    sized = {"networks": st.fixed_dictionaries(networks), "batch_size": whole(2, largest_batch)}
    residual = archs().filter(lambda arch: not arch.startswith("plain"))
    blocks["branch_variance"] = st.fixed_dictionaries(
        sized | {"networks": st.fixed_dictionaries(networks | {"archs": several(residual)})}
    )
    blocks["feature_rank"] = st.fixed_dictionaries(sized)
    blocks["gradient_correlation"] = st.fixed_dictionaries(
        sized | {"minibatches": whole(1, 100_000)},
        optional={
            "steps": several(st.floats(1e-6, 1)),
            "bn_modes": several(st.sampled_from(["train", "eval"]), 2),
        },
    )
    search = draw(searches(largest_batch))
    blocks["initial_sharpness"] = st.fixed_dictionaries(
        {
            "networks": st.fixed_dictionaries(networks),
            "subset": whole(2, largest_batch),
            **{key: st.just(value) for key, value in search.items() if key not in ("archs", "inits")},
        }
    )
    blocks["effective_learning_rate"] = st.fixed_dictionaries(
        {
            "alphas": several(alphas()),
            "weight_decays": several(shares(1e-300)),
            "updates": whole(4, 1_000_000),
            "batch_size": whole(2, largest_batch // 2),
            "held_out": whole(1, largest_batch // 2),
        },
        optional={"decayed": several(st.sampled_from(["all", "kernels"]), 2)},
    )
    return draw(st.fixed_dictionaries({}, optional=blocks))


@st.composite
def initializations(draw, largest_batch: int) -> dict[str, Any]:
    """The block of what is measured at initialisation."""
    own = draw(st.none() | archs())
    depth = int((own or "resnet-110").rsplit("-", 1)[1])
    arch_or_init = {"arch": archs(), "init": st.sampled_from(INITS)}
    reading = st.fixed_dictionaries({}, optional=arch_or_init).filter(bool)
    readings = draw(st.none() | st.lists(reading, max_size=3))
    depths = [int(r["arch"].rsplit("-", 1)[1]) for r in readings or [] if "arch" in r]
    optional = {
        "init": st.sampled_from(INITS),
        "norms": several(st.sampled_from(NORMS), 4),
        "batch_size": whole(2, largest_batch),
    }
    required = {"measurements": measurements(depth, min([depth, *depths]), largest_batch)}
    block = draw(st.fixed_dictionaries(required, optional=optional))
    return block | ({"arch": own} if own else {}) | ({} if readings is None else {"readings": readings})


@st.composite
def valid_configs(draw, small: bool = False) -> dict[str, Any]:
    """Configs that must be accepted; `small` ones plan few jobs and build on no other preset."""
    dataset = draw(st.sampled_from(["digits", "cifar10", "parquet", "folder"]))
    most = {"digits": 1437, "cifar10": 50_000, "parquet": 1_000_000, "folder": 1_000_000}[dataset]
    train = draw(st.just(0) | whole(1100, most))
    largest_batch = train or most
    flips = st.just(False) if dataset == "digits" else st.booleans()
    counted = st.integers(1, 6) if small else st.integers(1, 1000) | st.integers(100, 1000)
    optional = {
        "seeds": counted | several(st.integers(0, 2**31 - 1), 6),
        "seeds_per_job": whole(1, 4 if small else 40),
        "optimiser": st.fixed_dictionaries(
            {},
            optional={"momentum": shares(exclude_max=True), "weight_decay": shares()},
        ),
        "schedule": st.fixed_dictionaries(
            {},
            optional={"milestones": several(shares(1e-300, exclude_max=True), least=0).map(sorted)},
        ),
        "epochs_fraction": shares(1e-300) | st.just(1),
        "random_matrices": st.fixed_dictionaries(
            {}, optional={"size": whole(2, 20_000), "factors": several(whole(1, 20)), "draws": whole(1, 1000)}
        ),
        "subset": st.fixed_dictionaries({"train": st.just(train)}, optional={"test": whole(0, 360)}),
    }
    if dataset in ("parquet", "folder"):
        optional["channels"] = st.sampled_from(["as_found", "grey", "rgb"])
    if not small:
        optional["extends"] = st.sampled_from(["cifar10-init", "paper", "paper-short"])
    snapshots = draw(several(shares(1e-300, exclude_max=True), least=0))
    optional["trained"] = trained(snapshots, largest_batch)
    required = {
        "preset": presets(),
        "snapshots": st.just(snapshots),
        "dataset": st.just(dataset),
        "grid": grids(largest_batch, small),
        "initialization": initializations(largest_batch),
        "augmentation": st.fixed_dictionaries({"flip": flips}, optional={"pad": whole(0, 64)}),
        "data_dir": folders() if dataset in ("parquet", "folder") else st.none(),
    }
    return draw(st.fixed_dictionaries(required, optional=optional))
