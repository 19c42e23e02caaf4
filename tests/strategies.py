"""Configs for property tests: valid ones drawn from the whole schema, and ones with a single mistake."""

import functools
import math
import random
import re
import unicodedata
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import yaml
from hypothesis import strategies as st

from understanding_bn import config as configs

SCHEMA = yaml.safe_load(configs.SCHEMA.read_text(encoding="utf-8"))
RESERVED = SCHEMA["properties"]["preset"]["not"]["enum"]
ARCHS = [f"{family}-{6 * n + 2}" for family in ("resnet", "resnet-padded") for n in range(1, 20)]
INITS, NORMS = configs.names("models.initializations"), configs.names("models.norms")
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
    found = draw(st.fixed_dictionaries(required, optional=options))
    return found | {"smallest_alpha": 10.0**low, "largest_alpha": 10.0**high}


@st.composite
def probes(draw, depth: int, shallowest: int, largest_batch: int) -> dict[str, Any]:
    """Any selection of measurements on a network of `depth` layers, beside readings whose least is `shallowest`."""
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
        "gradient_noise": {
            "batch_sizes": several(whole(2, largest_batch), least=2),
            "minibatches": whole(2, 100_000),
            "alphas": several(alphas(), least=2),
        },
    }
    blocks = {name: st.fixed_dictionaries(keys) for name, keys in options.items()}
    blocks["max_learning_rate"] = searches(largest_batch)
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
    found = draw(
        st.fixed_dictionaries({"probes": probes(depth, min([depth, *depths]), largest_batch)}, optional=optional)
    )
    return found | ({"arch": own} if own else {}) | ({} if readings is None else {"readings": readings})


@st.composite
def claims(draw) -> dict[str, float]:
    """Learning rates that play the parts of the paper's: none, or an ascending three, and others."""
    names = draw(st.sampled_from([(), ("small_alpha", "middle_alpha", "large_alpha")]))
    found = dict(zip(names, sorted(draw(alphas()) for _ in names), strict=True))
    return found | draw(
        st.fixed_dictionaries({}, optional={"unstable_alpha": alphas(), "single_final_alpha": alphas()})
    )


@st.composite
def valid_configs(draw, small: bool = False) -> dict[str, Any]:
    """Configs that must be accepted; `small` ones plan few jobs and build on no other preset."""
    dataset = draw(st.sampled_from(["digits", "cifar10", "parquet"]))
    largest_batch = {"digits": 1437, "cifar10": 50_000, "parquet": 1_000_000}[dataset]
    flips = st.just(False) if dataset == "digits" else st.booleans()
    counted = st.integers(1, 6) if small else st.integers(1, 1000)
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
        "claims": claims(),
    }
    if not small:
        optional["extends"] = st.sampled_from(["cifar10-init", "paper", "paper-short"])
    required = {
        "preset": presets(),
        "dataset": st.just(dataset),
        "grid": grids(largest_batch, small),
        "initialization": initializations(largest_batch),
        "augmentation": st.fixed_dictionaries({"flip": flips}, optional={"pad": whole(0, 64)}),
        "data_dir": folders() if dataset == "parquet" else st.none(),
    }
    return draw(st.fixed_dictionaries(required, optional=optional))


@dataclass(frozen=True)
class Mistake:
    """One change to a valid config that makes it invalid.

    Attributes:
        kind: what sort of mistake it is.
        path: the place that is changed.
        value: what is put there; MISSING takes the key away.
        says: what the message must hold beside the path of `path`, or of what holds it.
    """

    kind: str
    path: tuple[Any, ...]
    value: Any
    says: str

    def made(self, config: dict[str, Any]) -> dict[str, Any]:
        """A copy of a config with this mistake."""
        config = deepcopy(config)
        *above, last = self.path
        place = config
        for part in above:
            place = place[part]
        if self.value is MISSING:
            del place[last]
        else:
            place[last] = self.value
        return config

    @property
    def where(self) -> str:
        """The place that the message must name."""
        path = self.path[:-1] if self.kind in ("unknown key", "missing key") else self.path
        return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".") or "(top level)"


MISSING = object()


def mistakes(config: dict[str, Any]) -> list[Mistake]:
    """Every mistake that can be made in a resolved config, by its schema and by what its values mean together."""
    return [*_by_schema(config, SCHEMA, ()), *_by_meaning(config)]


def one_of_each_kind(config: dict[str, Any]) -> list[Mistake]:
    """A mistake of every kind that can be made in a resolved config, at places that depend on the config alone."""
    chance = random.Random(repr(config))
    by_kind: dict[str, list[Mistake]] = {}
    for mistake in mistakes(config):
        by_kind.setdefault(mistake.kind, []).append(mistake)
    return [chance.choice(found) for found in by_kind.values()]


def _shown(value: Any) -> str:
    """How a message begins to show a value."""
    return repr(value)[:50]


def _by_schema(value: Any, schema: dict[str, Any], path: tuple[Any, ...]) -> Iterator[Mistake]:
    """The mistakes that break the schema, at this place and below."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]] | {k: v for k, v in schema.items() if k != "$ref"}
    for wrong in _of_another_type(schema):
        if path and (path[0], wrong) != ("seeds", "7"):  # on the command line, numbers in lists come as text
            yield Mistake("type", path, wrong, _shown(wrong))
    if isinstance(value, dict):
        yield from _of_keys(value, schema, path)
        for key, below in value.items():
            deeper = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            yield from _by_schema(below, deeper, (*path, key))
    elif isinstance(value, list):
        if schema.get("minItems"):
            yield Mistake("empty list", path, [], "empty")
        if schema.get("minItems", 0) > 1:
            yield Mistake("empty list", path, value[:1], "too short")
        if schema.get("uniqueItems") and value:
            yield Mistake("twice", path, [*value, value[0]], "twice")
        for index, below in enumerate(value):
            yield from _by_schema(below, schema["items"], (*path, index))
    elif isinstance(value, str):
        names = [name for name in HOSTILE if not _is_allowed(name, path)]
        for name in [*names, value[:-1] + "\n", value + "\n"] + ([value[:-1]] if path[-1] in FEW_NAMES else []):
            yield Mistake("name", path, name, _shown(name))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        for wrong in _out_of_range(schema):
            yield Mistake("range", path, wrong, _shown(wrong))
        for wrong in (math.nan, math.inf, -math.inf):
            yield Mistake("not finite", path, wrong, _shown(wrong))


def _is_allowed(name: str, path: tuple[Any, ...]) -> bool:
    """Whether this name, hostile as it looks, is fine here."""
    if path == ("data_dir",):
        return name != "" and not any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} or c in "{}" for c in name)
    return path in {("preset",), ("extends",)} and re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) is not None


def _of_another_type(schema: dict[str, Any]) -> list[Any]:
    """Values of types that are not allowed here."""
    kind = schema.get("type")
    if kind == "integer":
        return ["1e-4", "many", "7", True, None, [], {}, 2.5]
    if kind == "number":
        return ["1e-4", "fast", "0.1", "1_0", True, None, [], {}]
    if kind == "boolean":
        return [0, 1, "yes", "true", None, []]
    if kind == "array":
        return [{}, None, True, {"a": 1}]
    if kind == "object":
        return [None, [], "text", 3, [{}], False]
    if kind == "string":
        return [3, 2.5, True, None, [], {}]
    if kind == ["string", "null"]:
        return [3, True, [], {}]
    return [3, None, [], {}]  # one of a few names


def _of_keys(value: dict[str, Any], schema: dict[str, Any], path: tuple[Any, ...]) -> Iterator[Mistake]:
    """Keys that are unknown or missing."""
    known = schema.get("properties", {})
    near = [key[1:] for key in known] + [key + "s" for key in known] + [key.upper() for key in known]
    norms = NORMS if isinstance(schema.get("additionalProperties"), dict) else []
    for key in ["nosuch", *near, *(norm[:-1] for norm in norms), *HOSTILE, 5, None, True]:
        if key not in known and key not in norms and key != "default":
            content = 0.1 if norms else {}
            yield Mistake("unknown key", (*path, key), content, f"key {_shown(key)}")
    for key in schema.get("required", []):
        yield Mistake("missing key", (*path, key), MISSING, f"key {key!r} is missing")


def _out_of_range(schema: dict[str, Any]) -> Iterator[float]:
    """Numbers beyond the bounds of a schema."""
    if "enum" in schema:
        yield from (0, 3, 101)
    if "minimum" in schema and "exclusiveMinimum" not in schema:
        yield from (schema["minimum"] - 1, -(10**12))
    if "exclusiveMinimum" in schema:
        yield from (schema["exclusiveMinimum"], -1, -0.1, 1e-31 if "minimum" in schema else -1e-31)
    if "maximum" in schema:
        yield from (schema["maximum"] + 1, 10**30, 10**400)
    if "exclusiveMaximum" in schema:
        yield from (schema["exclusiveMaximum"], 2, 1e300)


def _by_meaning(config: dict[str, Any]) -> Iterator[Mistake]:
    """Values that are fine by themselves, and wrong beside the others or in this project."""
    yield from (Mistake("reserved", ("preset",), name, _shown(name)) for name in RESERVED)
    yield from (Mistake("count", ("seeds",), count, _shown(count)) for count in (0, -1, 1001, 10**9))
    yield Mistake("order", ("schedule", "milestones"), [0.75, 0.5], "[0.75, 0.5]")
    if config["claims"]["middle_alpha"] < 1000:
        yield Mistake("order", ("claims", "small_alpha"), 1000, "1000 is more than middle_alpha")
    if config["grid"] and len("-".join(map(str, config["seeds"]))) > configs.LONGEST_SEEDS:
        yield Mistake("long name", ("seeds_per_job",), 1000, "1000 makes names of")
    if config["dataset"] == "digits":
        yield Mistake("flip", ("augmentation", "flip"), True, "true")
    yield from _of_networks(config)
    yield from _of_sweeps(config["initialization"]["probes"])


def _of_networks(config: dict[str, Any]) -> Iterator[Mistake]:
    """Depths that are no network's, layers beyond the last one, mini-batches larger than the data set."""
    start = config["initialization"]
    places = [("initialization", "arch")]
    places += [("grid", i, "arch", j) for i, entry in enumerate(config["grid"]) for j in range(len(entry["arch"]))]
    places += [("initialization", "readings", i, "arch") for i in range(len(start["readings"]))]
    for path in places:
        for arch in ("resnet-9", "resnet-2", "resnet-08", "resnet-0", "resnet-110000", "vgg-16", "resnet", "resnet-"):
            yield Mistake("depth", path, arch, _shown(arch))
    depth = int(start["arch"].rsplit("-", 1)[1])
    for probe, options in start["probes"].items():
        beyond = depth + (probe == "channel_moments")
        path = ("initialization", "probes", probe)
        if "layer" in options:
            yield Mistake("layer", (*path, "layer"), beyond, f"layer {beyond} is too deep")
        for index in range(len(options.get("layers", []))):
            changed = (*path, "layers", index)
            yield Mistake("layer", changed, beyond + 1000, f"layer {beyond + 1000} is too deep")
    most = {"digits": 1437, "cifar10": 50_000}.get(config["dataset"])
    if most:
        yield Mistake("batch size", ("initialization", "batch_size"), most + 1, f"{most + 1} is more than the {most}")
        for i, entry in enumerate(config["grid"]):
            for j in range(len(entry["batch_size"])):
                yield Mistake("batch size", ("grid", i, "batch_size", j), most + 1, f"{most + 1} is more than")


def _of_sweeps(probes: dict[str, Any]) -> Iterator[Mistake]:
    """Sweeps that end before they begin, or have nothing in them."""
    for probe, what in (("relative_loss", "step"), ("max_learning_rate", "alpha")):
        if probe in probes:
            end = probes[probe][f"largest_{what}"]
            yield Mistake("order", ("initialization", "probes", probe, f"smallest_{what}"), end, _shown(end))
