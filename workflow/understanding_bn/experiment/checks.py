"""Mistakes in a config that need a look at several values: names, sizes, order. Each is one line with its key."""

import math
from collections.abc import Iterator
from typing import Any, Literal

from understanding_bn import architecture, plugin_files, plugins
from understanding_bn.errors import UserError
from understanding_bn.experiment.config import IMAGES, SIDES, Config
from understanding_bn.messages import choice, place, shown
from understanding_bn.settings import Initial, Setting, Trained, ungrouped

LONGEST_SEEDS = 200  # characters in the name of a job's folder
SPLITS: tuple[Literal["train", "test"], ...] = ("train", "test")


def check(config: Config) -> None:
    """Raise UserError for the first mistake, one line that names its key."""
    known = _check_plugins(config)
    for rule in (
        _check_names,
        _check_channels,
        _check_side,
        _check_sizes,
        _check_updates,
        _check_groups,
        _check_order,
        _check_snapshots,
        _check_seeds,
    ):
        rule(config, known)
    _check_measurements(config, known)


def measurements(block: Any) -> dict[str, Any]:
    """The options of the measurements that a block of the config names, in the order of its fields."""
    return {name: options for name in type(block).model_fields if (options := getattr(block, name)) is not None}


def _fail(parts: tuple[str | int, ...], text: str) -> None:
    raise UserError(f"config key {place(parts)}: {text}")


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every scalar in nested blocks and lists, with its path."""
    if isinstance(value, dict | list | tuple):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(below, (*path, key))
    elif value is not None:
        yield path, value


def _blocks(config: Config, *names: str) -> dict[str, Any]:
    """Blocks of the config as nested dicts."""
    return config.model_dump(include=set(names))


def _check_plugins(config: Config) -> dict[str, list[str]]:
    """Plug-ins must be readable and offer different names. Returns the names of all norms and initialisations."""
    plugged = plugin_files.paths(config.plugins)
    for position, path in enumerate(plugged):
        try:
            plugins.offers(path)
        except UserError as error:
            _fail(("plugins", position), str(error))
    known = {kind: plugins.names(kind, plugged) for kind in plugins.MODULES}
    for kind, names in known.items():
        if duplicate := next((name for name in names if names.count(name) > 1), None):
            _fail(("plugins",), f"{kind} {duplicate!r} is in two of them; rename one")
    return known


def _check_names(config: Config, known: dict[str, list[str]]) -> None:
    """Norms, initialisations and architectures must exist; a digit must not be mirrored."""
    for path, value in _leaves(_blocks(config, "initialization", "grid", "trained")):
        key = next(part for part in reversed(path) if isinstance(part, str)).removesuffix("s")
        if key in known and isinstance(value, str) and not plugins.is_among(value, known[key]):
            _fail(path, f"{shown(value)} is unknown; expected {choice(value, known[key])}")
        if key == "arch":
            try:
                architecture.parse(value)
            except UserError as error:
                _fail(path, str(error).removeprefix("arch: "))
    if config.dataset == "digits" and config.augmentation.flip:
        _fail(("augmentation", "flip"), "true, but a mirrored digit is a different character; set it to false")


def _check_channels(config: Config, known: dict[str, list[str]]) -> None:
    """The known data sets are what they are."""
    if config.channels != "as_found" and config.dataset in IMAGES:
        text = f"{config.channels!r} is for data of your own; of {config.dataset} the images stay, expected 'as_found'"
        _fail(("channels",), text)


def _check_side(config: Config, known: dict[str, list[str]]) -> None:
    """Images can be shrunk by whole numbers, where their size is known beforehand."""
    side = SIDES.get(config.dataset)
    if side and config.image_size and side % config.image_size:
        sides = [size for size in range(1, side + 1) if side % size == 0]
        text = f"{config.image_size} does not divide {side}, the side of images of {config.dataset}; "
        _fail(("image_size",), text + f"expected one of {', '.join(map(str, sides))}, or 0 to leave them")


def _check_sizes(config: Config, known: dict[str, list[str]]) -> None:
    """Nothing can draw more images than there are, where their number is known beforehand."""
    for split in SPLITS:
        total, wanted = IMAGES.get(config.dataset, {}).get(split), config.images(split)
        if total is not None and wanted > total:
            text = f"{wanted} is more than the {total} images that {config.dataset} has; expected at most {total}"
            _fail(("subset", split), text)
    kept, whole = config.subset.validation, IMAGES.get(config.dataset, {}).get("train", math.inf)
    left = whole - (config.subset.train or 1)
    if kept > left:
        text = f"{kept} is more than the {left} training images of {config.dataset} that are not trained on; "
        _fail(("subset", "validation"), text + f"expected at most {left}")
    most = config.images("train")
    for path, size in _leaves(_blocks(config, "initialization", "grid")):
        key = next(part for part in reversed(path) if isinstance(part, str))
        if key in ("batch_size", "batch_sizes") and size > most:
            text = f"{size} is more than the {most} training images of {config.dataset}; expected at most {most}"
            _fail(path, text)


def _check_updates(config: Config, known: dict[str, list[str]]) -> None:
    """Updates must fill whole epochs at every batch size, of which all other things in a cell are counted in shares."""
    images, fraction = config.images("train"), config.epochs_fraction
    for position, entry in enumerate(config.grid):
        if entry.updates is None:
            continue
        if math.isinf(images):
            text = "an epoch's number of updates is unknown for data of your own; set subset.train, or give epochs"
            _fail(("grid", position, "updates"), text)
        for size in entry.batch_size:
            if not isinstance(entry.epochs_of(size, images, fraction), int):
                epoch = math.lcm(*(int(images) // each for each in entry.batch_size))
                fits = max(1, round(entry.updates * fraction / epoch)) * epoch
                wanted = f"{entry.updates}" + (f" × epochs_fraction {fraction:g}" if fraction != 1 else "")
                text = f"{wanted} is no number of whole epochs of {int(images) // size} updates, at batch_size {size}; "
                text += f"expected a multiple of {epoch}, such as {fits}"
                _fail(("grid", position, "updates"), text)


def _check_groups(config: Config, known: dict[str, list[str]]) -> None:
    """The groups of a ghost norm must make up a mini-batch."""
    start = config.initialization
    for mistake in ungrouped(("initialization", "batch_size"), start.batch_size, start.norms):
        _fail(mistake.place, mistake.text)
    for number, entry in enumerate(config.grid):
        for position, size in enumerate(entry.batch_size):
            for mistake in ungrouped(("grid", number, "batch_size", position), size, entry.norm):
                _fail(mistake.place, mistake.text)


def _check_order(config: Config, known: dict[str, list[str]]) -> None:
    """Milestones must ascend."""
    milestones = list(config.schedule.milestones)
    if milestones != sorted(milestones):
        _fail(("schedule", "milestones"), f"{shown(milestones)} do not ascend; write them in order")


def _check_snapshots(config: Config, known: dict[str, list[str]]) -> None:
    """Networks can be measured only at shares and losses of training at which their weights were kept."""
    snapshots = sorted({0, 1, *config.snapshots})
    for name, options in measurements(config.trained.measurements).items():
        for position, share in enumerate(options.at):
            if share not in snapshots:
                text = f"{share} is no snapshot; expected one of {snapshots}, or add it to snapshots"
                _fail(("trained", "measurements", name, "at", position), text)
        for position, loss in enumerate(options.at_losses):
            if loss not in config.snapshot_losses:
                text = f"{loss} is not among {shown([*config.snapshot_losses])}, the snapshot_losses; add it to them"
                _fail(("trained", "measurements", name, "at_losses", position), text)


def _check_seeds(config: Config, known: dict[str, list[str]]) -> None:
    """The seeds of one job name its folder and its log, and a file system takes names of 255 bytes."""
    size = config.seeds_per_job
    blocks = (config.seeds[start : start + size] for start in range(0, len(config.seeds), size))
    longest = max(len("-".join(map(str, block))) for block in blocks)
    if config.grid and longest > LONGEST_SEEDS:
        text = (
            f"{size} makes names of {longest} digits for these seeds, which files cannot have; expected fewer seeds in "
            f"a job, for at most {LONGEST_SEEDS} digits"
        )
        _fail(("seeds_per_job",), text)


def _check_measurements(config: Config, known: dict[str, list[str]]) -> None:
    """Each measurement checks its own options against the networks and images that it is made on."""
    start, images = config.initialization, config.images("train")
    for block, all_options in (("initialization", start.measurements), ("trained", config.trained.measurements)):
        for name, options in measurements(all_options).items():
            if isinstance(options, Initial):
                archs, norms = start.archs(options), start.norms
            else:
                assert isinstance(options, Trained)
                allowed = options.where.model_dump()
                entries = [e for e in config.grid if all({*getattr(e, key)} & {*allowed[key]} for key in allowed)]
                archs = tuple(arch for entry in config.grid for arch in entry.arch)
                norms = tuple(n for entry in entries for n in entry.norm if n in allowed.get("norm", entry.norm))
            for mistake in options.check(Setting(images, archs, tuple(known["norm"]), norms)):
                _fail((block, "measurements", name, *mistake.place), mistake.text)
