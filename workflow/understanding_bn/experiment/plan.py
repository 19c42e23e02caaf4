"""Which jobs a config asks for, enumerated once. Rules, status, cost estimates, records and reports read it."""

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, replace

from understanding_bn import plugin_files, plugins
from understanding_bn.cell import Cell, Network
from understanding_bn.experiment.checks import measurements
from understanding_bn.experiment.config import Config
from understanding_bn.experiment.jobs import Draw, Matrices, Measure, Measured, Prepare, Train
from understanding_bn.norm_names import group_size
from understanding_bn.settings import Initial, Trained, Where

Inputs = dict[str, list[Measured]]  # jobs by the name of the table that they make


@dataclass(frozen=True)
class Plan:
    """All jobs of a config, in the order in which their results are listed.

    Attributes:
        prepare: the data set.
        train: one job for each cell and block of seeds.
        initial: measurements at initialisation, by name: on the preset's own network, and on those that the measurement
            itself varies.
        readings: the same on every reading of the paper, for measurements that are compared between readings; empty
            where there is just one.
        trained: measurements on trained networks, by name.
        matrices: the products of Gaussian matrices; None only in a part of a plan (see `part`).
        main: (arch, init, batch_size) of most cells, which norms are compared on.
    """

    config: Config
    prepare: Prepare
    train: list[Train]
    initial: dict[str, list[Measure]]
    readings: dict[str, list[Measure]]
    trained: dict[str, list[Measure]]
    matrices: Matrices | None
    main: tuple[str, str, int] | None

    @property
    def measured(self) -> list[Measured]:
        """Every job that makes numbers, each once, training first."""
        groups: tuple[Iterable[Measured], ...] = (
            self.train,
            *self.initial.values(),
            *self.trained.values(),
            self._matrices,
            *self.readings.values(),
        )
        return list({job.folder: job for job in itertools.chain(*groups)}.values())

    @property
    def evidence(self) -> Inputs:
        """The jobs whose results claims are judged on, by table."""
        tables: Inputs = {"histories": [*self.train]}
        tables |= {name: [*jobs] for name, jobs in (self.initial | self.trained).items()}
        tables["random_matrices"] = [*self._matrices]
        return {table: jobs for table, jobs in tables.items() if jobs}

    @property
    def items(self) -> dict[Draw, Inputs]:
        """Every figure and table with what it is drawn from, in the report's order; nothing where it can't be drawn."""
        kinds = (("figures", FIGURES), ("tables", TABLES))
        return {Draw(name=name, kind=kind): of(self) for kind, items in kinds for name, of in items.items()}

    def part(self, places: Container[str]) -> "Plan":
        """The plan with only those jobs whose folders these are, as if no others had been asked for."""

        def of(named: dict[str, list[Measure]]) -> dict[str, list[Measure]]:
            kept = {name: [job for job in jobs if job.folder in places] for name, jobs in named.items()}
            return {name: jobs for name, jobs in kept.items() if jobs}

        return replace(
            self,
            train=[job for job in self.train if job.folder in places],
            initial=of(self.initial),
            readings=of(self.readings),
            trained=of(self.trained),
            matrices=self.matrices if Matrices.folder in places else None,
        )

    @property
    def _matrices(self) -> list[Matrices]:
        return [self.matrices] if self.matrices else []


def plan(config: Config) -> Plan:
    """All jobs of a config."""
    plugged = dict(zip(plugin_files.paths(config.plugins), config.plugins, strict=True))

    @functools.cache  # a plug-in is read for this, and a grid asks thousands of times
    def needed(norm: str, *inits: str) -> tuple[str, ...]:
        if not plugged:  # nor are the names checked: results can be listed when the plug-ins are gone
            return ()
        return tuple(plugged[path] for path in plugins.sources([*plugged], norm, inits))

    grid = cells(config)
    shared = {"optimiser": config.optimiser, "augmentation": config.augmentation}
    blocks = seed_blocks(config)
    train = [
        Train(
            cell=cell,
            seeds=block,
            milestones=config.schedule.milestones,
            snapshots=config.snapshots,
            snapshot_losses=config.snapshot_losses,
            evaluations=config.evaluations,
            precision=config.precision,
            compiled=config.compiled,
            plugins=needed(cell.norm, cell.init),
            **shared,
        )
        for cell in grid
        for block in blocks
    ]

    def at_start(name: str, options: Initial, norm: str, arch: str, init: str) -> Measure:
        network = Network(arch=arch, init=init, norm=norm, batch_size=config.initialization.batch_size)
        files = needed(norm, init, *options.other_inits())
        return Measure(
            measurement=name, network=network, options=options.for_one(), seeds=config.seeds, plugins=files, **shared
        )

    start, initial, on_readings = config.initialization, {}, {}
    for name, options in measurements(start.measurements).items():
        initial[name] = [
            at_start(name, options, norm, *network)
            for norm in start.norms
            for network in options.made_on(start.arch, start.init, norm)
        ]
        pairs = readings(config)
        if options.on_readings() and len(pairs) > 1:
            on_readings[name] = [at_start(name, options, norm, *network) for norm in start.norms for network in pairs]
    trained = {
        name: [
            Measure(
                measurement=name,
                network=cell,
                options=options.model_copy(update={"at": shares, "where": Where()}),
                seeds=block,
                plugins=needed(cell.norm, cell.init),
                **shared,
            )
            for cell, shares in times(grid, options).items()
            for block in blocks
        ]
        for name, options in measurements(config.trained.measurements).items()
    }
    counts = Counter(cell.family for cell in grid)
    images = config.subset.model_dump() | {"channels": config.channels, "image_size": config.image_size}
    return Plan(
        config=config,
        prepare=Prepare(dataset=config.dataset, data_dir=config.data_dir, **images),
        train=train,
        initial=initial,
        readings=on_readings,
        trained=trained,
        matrices=Matrices(**config.random_matrices.model_dump()),
        main=max(counts, key=lambda family: counts[family]) if counts else None,
    )


def jobs(config: Config) -> list[Measured]:
    """Every job of a config that makes numbers, each once."""
    return plan(config).measured


def cells(config: Config) -> list[Cell]:
    """The cells of a config's grid, in order, each once."""
    unique: dict[Cell, None] = {}
    images = config.images("train")
    for entry in config.grid:
        epochs = {size: int(entry.epochs_of(size, images, config.epochs_fraction)) for size in entry.batch_size}
        factors = (entry.arch, entry.init, entry.norm, entry.alpha, entry.batch_size)
        for arch, init, norm, alpha, size in itertools.product(*factors):
            cell = Cell(arch=arch, init=init, norm=norm, alpha=alpha, batch_size=size, epochs=epochs[size])
            unique[cell] = None
    return list(unique)


def seed_blocks(config: Config) -> list[tuple[int, ...]]:
    """The seeds of a config, in blocks of one job each."""
    size = config.seeds_per_job
    return [config.seeds[start : start + size] for start in range(0, len(config.seeds), size)]


def readings(config: Config) -> list[tuple[str, str]]:
    """The (arch, init) of the preset's network and of every other reading of the paper that it is compared with."""
    start = config.initialization
    networks = [(start.arch, start.init)]
    networks += [(reading.arch or start.arch, reading.init or start.init) for reading in start.readings]
    return list(dict.fromkeys(networks))


def times(grid: Iterable[Cell], options: Trained) -> dict[Cell, tuple[float, ...]]:
    """The shares of training at which a measurement is made, for every cell that it is made on, there or at losses.

    Before training a network is the same for every α and number of epochs: it is measured with the first such cell.
    """
    shares_by_cell: dict[Cell, tuple[float, ...]] = {}
    started: set[tuple[str, str, str, int]] = set()
    allowed = options.where.model_dump()
    for cell in grid:
        if not all(getattr(cell, factor) in values for factor, values in allowed.items()):
            continue
        start = (cell.arch, cell.init, cell.norm, cell.batch_size)
        shares = tuple(share for share in sorted(options.at) if share or start not in started)
        started.add(start)
        if shares or options.at_losses:
            shares_by_cell[cell] = shares
    return shares_by_cell


# What each figure and table is drawn from. A new one needs a line here, a module of its name in figures/, whose `draw`
# or `tabulate` has the tables as its parameters, and a caption in workflow/report/.


def _measured(name: str) -> Callable[[Plan], Inputs]:
    """From one measurement at initialisation."""
    return lambda plan: {name: [*plan.initial.get(name, [])]} if plan.initial.get(name) else {}


def _with_histories(*names: str) -> Callable[[Plan], Inputs]:
    """From measurements on trained networks, and all histories; nothing if none of them was made."""

    def inputs(plan: Plan) -> Inputs:
        made: Inputs = {name: [*plan.trained.get(name, [])] for name in names if plan.trained.get(name)}
        return {"histories": [*plan.train], **made} if made else {}

    return inputs


def _noise(plan: Plan) -> Inputs:
    """From the gradient's structure, and with it the Hessian's spectrum where that was measured, and all histories."""
    return (
        _with_histories("gradient_structure", "hessian_spectrum")(plan)
        if plan.trained.get("gradient_structure")
        else {}
    )


def _at_losses(plan: Plan) -> Inputs:
    """From the gradient's structure and all histories, where that was to be measured at training losses."""
    asked = any(
        isinstance(job.options, Trained) and job.options.at_losses for job in plan.trained.get("gradient_structure", [])
    )
    return _with_histories("gradient_structure")(plan) if asked else {}


def _histories(plan: Plan) -> Inputs:
    """From the histories of all networks."""
    return {"histories": [*plan.train]} if plan.train else {}


def _compared(*wanted: str, others: bool = False) -> Callable[[Plan], Inputs]:
    """From the main network's histories of these norms (or of all others), and of batch norm and none.

    Nothing if none of these norms was trained.
    """
    compared = {"none", "batch"}

    def inputs(plan: Plan) -> Inputs:
        main = [job for job in plan.train if job.cell.family == plan.main]
        norms = {job.cell.norm for job in main}
        added = norms - compared - set(wanted) if others else norms & set(wanted)
        return {"histories": [job for job in main if job.cell.norm in added | compared]} if added else {}

    return inputs


def _alpha_and_batch(plan: Plan) -> Inputs:
    """From everything measured on trained networks, if α and B both vary on the main network."""
    sizes = {job.cell.batch_size for job in plan.train if job.cell.family[:2] == (plan.main or ())[:2]}
    return _with_histories("gradient_structure", "hessian_spectrum")(plan) if len(sizes) > 1 else {}


def _equal_updates(plan: Plan) -> bool:
    """Whether batch norm is trained at three batch sizes or more with as many updates, epochs in proportion to B."""
    sizes: dict[object, set[int]] = {}
    for cell in (job.cell for job in plan.train if job.cell.norm == "batch"):
        sizes.setdefault((cell.arch, cell.init, cell.epochs / cell.batch_size), set()).add(cell.batch_size)
    return any(len(of_length) > 2 for of_length in sizes.values())


def _ghosts(plan: Plan) -> bool:
    """Whether a ghost norm is trained on the main network, which tells the two roles of B apart."""
    return any(group_size(job.cell.norm) and job.cell.family[:2] == (plan.main or ())[:2] for job in plan.train)


def _replacing(plan: Plan) -> Inputs:
    """From the histories of batch norm, none and the scalars in its place, if SkipInit was trained."""
    jobs = [job for job in plan.train if job.cell.norm in ("batch", "none", "skipinit")]
    return {"histories": [*jobs]} if any(job.cell.norm == "skipinit" for job in jobs) else {}


def _readings(plan: Plan) -> Inputs:
    """From what was measured on every reading of the paper."""
    return {name: [*jobs] for name, jobs in plan.readings.items()}


FIGURES: dict[str, Callable[[Plan], Inputs]] = {
    "fig1_accuracy": _histories,
    "fig2_gradient_histogram": _measured("gradient_histogram"),
    "fig3_relative_loss": _measured("relative_loss"),
    "fig4_divergence_heatmap": _measured("divergence_path"),
    "fig5_channel_moments": _measured("channel_moments"),
    "fig6_logit_gradients": _measured("logit_gradients"),
    "fig7_kernel_gradients": _measured("kernel_gradients"),
    "fig8_singular_values": lambda plan: {"random_matrices": [plan.matrices]} if plan.matrices else {},
    "single_final_bn": _compared("batch-final"),
    "other_norms": _compared("batch-final", others=True),
    "max_learning_rate": _measured("max_learning_rate"),
    "gradient_noise": _measured("gradient_noise"),
    "input_mean_correlation": _measured("input_mean_correlation"),
    "jacobian_conditioning": _measured("jacobian_conditioning"),
    "edge_of_stability": _measured("edge_of_stability"),
    "noise_by_depth": _measured("noise_by_depth"),
    "branch_variance": _measured("branch_variance"),
    "feature_rank": _measured("feature_rank"),
    "gradient_correlation": _measured("gradient_correlation"),
    "initial_sharpness": _measured("initial_sharpness"),
    "replacing_batch_norm": _replacing,
    "equivalent_schedule": _measured("equivalent_schedule"),
    "effective_learning_rate": _measured("effective_learning_rate"),
    "hessian_spectrum": _with_histories("hessian_spectrum"),
    "landscape_smoothness": _with_histories("landscape_smoothness"),
    "noise_along_training": _with_histories("gradient_structure"),
    "noise_by_architecture": _noise,
    "noise_at_losses": _at_losses,
    "alpha_batch_grid": _alpha_and_batch,
    "ghost_statistics": lambda plan: _histories(plan) if _ghosts(plan) else {},
    "best_batch_size": lambda plan: _histories(plan) if _equal_updates(plan) else {},
    "batch_size_roles": lambda plan: _alpha_and_batch(plan) if _ghosts(plan) else {},
    "covariate_shift": _with_histories("covariate_shift"),
}
TABLES: dict[str, Callable[[Plan], Inputs]] = {
    "table1_gradient_sums": _measured("gradient_sums"),
    "readings": _readings,
}
