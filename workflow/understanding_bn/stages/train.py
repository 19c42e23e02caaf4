"""Training: a cell of the grid and a block of seeds, from the data store to files."""

import io
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from understanding_bn import device as devices
from understanding_bn import files, finished, locks, plugin_files, progress, provenance, record, tables
from understanding_bn.cell import Cell
from understanding_bn.data import store as stores
from understanding_bn.data.batches import Split
from understanding_bn.errors import UserError
from understanding_bn.experiment.jobs import Train
from understanding_bn.models.guards import try_norm
from understanding_bn.models.resnet import WIDTHS
from understanding_bn.training import checkpoint, loop, precision, signals
from understanding_bn.training.compiled import compile_blocks
from understanding_bn.training.event_log import EventLog
from understanding_bn.training.graphs import CudaGraphs
from understanding_bn.training.state import MEASURED, finish, start

CHECKPOINT_SECONDS = 30  # between checkpoints; more, if saving would take more than its share of the time
SAVING_SHARE = 0.01
MOST_LANES = 8  # by default; beyond that a GPU of today is busy
MEMORY_SHARE = 0.9  # of what is free on a GPU, to be filled with lanes


def run(
    job: Train,
    store_path: Path,
    out: Path,
    state: Path,
    threads: int,
    wanted_device: str = "auto",
    lanes: int | None = None,
    now: Callable[[], float] = time.monotonic,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Train every seed of one job; see `together`."""
    together([(job, out)], store_path, state, threads, wanted_device, lanes, now, tick)


def together(
    work: Sequence[tuple[Train, Path]],
    store_path: Path,
    state: Path,
    threads: int,
    wanted_device: str = "auto",
    lanes: int | None = None,
    now: Callable[[], float] = time.monotonic,
    tick: Callable[[], None] = lambda: None,
    done: Callable[[Path, Train], None] = lambda out, job: None,
) -> None:
    """Train every seed of these jobs, and write history.parquet, weights.pt and run.json to the folder of each.

    weights.pt is {seed: {epochs done: weights}}, after each of the job's snapshots, where a run first
    reached one of its snapshot_losses, and at the end.

    A run's result does not depend on the others: nothing is shared between them but the data. However it was
    interrupted, a job goes on from the last checkpoint in `state` when it is started again with the same settings.

    Args:
        work: the jobs, each with its folder. They share the data, and are begun in this order.
        lanes: how many runs go side by side; by default as many as a GPU's memory holds, on a CPU one.
        now: returns the time in seconds, from any origin.
        tick: called after every mini-batch, of training and of a split that is measured, and after every epoch, before
            the run is saved. It may raise.
        done: called with a job and its folder when that holds its results.

    Raises:
        UserError: a setting does not suit the data or the device.
        Stopped: the process was asked to stop by a signal, and has saved the state of all runs.
    """
    tf32, *others = {job.precision == "tf32" for job, _ in work}
    if others:
        raise ValueError("TF32 is a setting of the process: jobs in tf32 need one of their own")
    device = devices.prepare(threads, wanted_device, tf32)
    store = stores.load(store_path)
    for said in dict.fromkeys(_check(job, store, device) for job, _ in work):
        print(said, file=sys.stderr)
    held_out = {name: Split(store, name, 0, device) for name in stores.SPLITS[1:] if store.rows(name).any()}
    train = {pad: Split(store, "train", pad, device) for pad in {job.augmentation.pad for job, _ in work}}
    watches: dict[loop.Lane, _Watch] = {}

    with signals.listening() as stop, ExitStack() as blocks:

        def prepared() -> Iterator[loop.Lane]:
            for job, out in work:
                block = _Block(job, out, state, store, device, threads, now)
                blocks.push(block.resources)
                if not block.begin(stop):
                    continue
                for seed in job.seeds:
                    lane = block.lane(seed, train[job.augmentation.pad], held_out, stop)
                    watches[lane] = _Watch(lane, block, now)
                    yield lane

        def after_minibatch(lane: loop.Lane) -> None:
            tick()
            if stop.signal is not None:
                for watch in watches.values():
                    watch.save()
                stop.check(watches[lane].where)
            watches[lane].tick()

        def ended(lane: loop.Lane) -> None:
            watch = watches.pop(lane)
            watch.save()
            if watch.block.ended(lane):
                done(watch.block.out, watch.block.job)

        loop.train(prepared(), after_minibatch, _room(device, lanes), ended)


def _check(job: Train, store: stores.Store, device: torch.device) -> str:
    """Whether the job's settings suit the data and the device; what to tell the user of the device.

    Raises:
        UserError: one does not.
    """
    if job.augmentation.flip and store.info["flip"] is False:
        raise UserError(
            f"augmentation.flip: true, but mirrored {store.info['dataset']} are different characters; set it to false"
        )
    images = store.info["train_images"]
    if job.cell.batch_size > images:
        raise UserError(
            f"config key grid: batch_size {job.cell.batch_size} of {job.cell.path} is more than the {images} training "
            f"images; expected at most {images}"
        )
    dtype = torch.bfloat16 if job.precision == "bfloat16" else torch.float32
    plugged = plugin_files.paths(job.plugins)
    try_norm(job.cell.norm, plugged, WIDTHS, job.cell.batch_size, store.images.shape[1], dtype)
    return precision.check(job.precision, device) or f"running on {devices.name(device).replace('cpu', 'the CPU')}"


def _room(device: torch.device, lanes: int | None) -> Callable[[int], bool]:
    """Whether there is room for one more lane beside so many."""
    if lanes or device.type == "cpu":
        return lambda going: going < (lanes or 1)
    before = torch.cuda.memory_reserved(device)

    def has_room(going: int) -> bool:
        free, _ = torch.cuda.mem_get_info(device)
        return fits(going, torch.cuda.memory_reserved(device) - before, free)

    return has_room


def fits(going: int, taken: int, free: int) -> bool:
    """Whether one more lane goes beside so many that have taken so many bytes, where so many are free."""
    each = taken / going if going else 0
    return going < MOST_LANES and each < MEMORY_SHARE * free


@dataclass(frozen=True)
class _Ended:
    """What a job's files need of a run that has ended."""

    rows: list[dict[str, Any]]
    snapshots: dict[int, dict[str, torch.Tensor]]
    seconds: float


class _Block:
    """One job under way: what its seeds' runs share, and what becomes of them."""

    def __init__(
        self,
        job: Train,
        out: Path,
        state: Path,
        store: stores.Store,
        device: torch.device,
        threads: int,
        now: Callable[[], float],
    ):
        self.job, self.out, self.state, self.store, self.device, self.threads = job, out, state, store, device, threads
        self.stopwatch = provenance.Stopwatch(now)
        self.made_with = {"data": store.info["sha256"], "device": device.type, "threads": threads}
        facts = job.model_dump(mode="json", exclude={"seeds", "plugins"}) | self.made_with
        facts |= {"code": job.code, "torch": torch.__version__}
        self.keys = {seed: checkpoint.key(facts | {"seed": seed}) for seed in job.seeds}
        self.minibatches = int(store.info["train_images"]) // job.cell.batch_size
        rate = ("images", self.minibatches * job.cell.batch_size)
        epochs = job.cell.epochs * len(job.seeds)
        self.progress = progress.Progress(job.cell.label, epochs, "epochs", rate, now=now, beat=progress.beat_of(out))
        self.done: dict[int, float] = {}  # epochs, by seed
        self.resumed: list[int] = []
        self.ended_runs: dict[int, _Ended] = {}
        self.resources = ExitStack()  # locks and the like, for as long as the job is under way

    def begin(self, stop: signals.Stop) -> bool:
        """Hold the job for this process. Returns whether there is anything to do."""
        done = self.resources.enter_context(finished.once(self.out, self.job, self.made_with, stop.check))
        if done:
            self.resources.close()
        else:
            self.resources.enter_context(progress.heartbeat(self.out))
        return not done

    def lane(self, seed: int, train: Split, held_out: Mapping[str, Split], stop: signals.Stop) -> loop.Lane:
        """The run of a seed, restored from its checkpoint if there is one, ready to train."""
        job, cell = self.job, self.job.cell
        folder = self.folder(seed)
        self.resources.enter_context(locks.claim(folder, stop.check))  # another block of seeds may have this one too
        plugged = plugin_files.paths(job.plugins)
        run = start(cell, job.optimiser, seed, self.store.channels, self.store.classes, self.device, plugged)
        if job.compiled:
            compile_blocks(run.model)
        if checkpoint.restore(run, folder):
            self.resumed.append(seed)
            print(f"seed {seed}: going on after {run.where}", file=sys.stderr)
        keep = [cell.epoch_at(share) for share in job.snapshots]
        recorder = CudaGraphs(self.device) if self.device.type == "cuda" else None
        settings = (job.augmentation, job.milestones, keep, job.precision, recorder)
        return loop.Lane(run, cell, seed, train, held_out, *settings, job.snapshot_losses, job.evaluations)

    def folder(self, seed: int) -> Path:
        """Where the state of a seed's run is saved."""
        return self.state / self.keys[seed]

    def ended(self, lane: loop.Lane) -> bool:
        """A run has ended, and its network is needed no more. With the last one the job writes its files.

        Returns whether it was the last.
        """
        run, info = lane.run, self.store.info
        rows = finish(run, info["train_images"], info["majority_share"])
        self.ended_runs[lane.seed] = _Ended(rows, run.snapshots, round(run.seconds, 2))
        last = len(self.ended_runs) == len(self.job.seeds)
        if last:
            self._finish()
            self.resources.close()
        return last

    def _finish(self) -> None:
        ordered = {seed: self.ended_runs[seed] for seed in self.job.seeds}
        rows = [row for run in ordered.values() for row in run.rows]
        tables.write(self.out / "history.parquet", _table(self.store.info["tag"], self.job.cell, rows))
        buffer = io.BytesIO()  # torch does not pass on the system's error, such as a full disk
        torch.save({seed: run.snapshots for seed, run in ordered.items()}, buffer)
        files.write_bytes(self.out / "weights.pt", buffer.getbuffer())
        facts = self.stopwatch.facts(devices.name(self.device), self.threads)
        facts["flags"] |= {"tf32": self.job.precision == "tf32", "compiled": self.job.compiled}
        record.finish(
            self.out,
            self.job,
            facts,
            data=self.store.info,
            dtype=self.job.precision,
            bn_mode="train mode in training, eval mode for test accuracy",
            training=record.Training(
                resumed_seeds=self.resumed,
                failures=[run.rows[-1]["failure"] for run in ordered.values()],
                state_keys=list(self.keys.values()),
                seconds=[run.seconds for run in ordered.values()],
            ),
        )
        for seed in self.job.seeds:
            checkpoint.remove(self.folder(seed))


class _Watch:
    """Watches one run: saves it regularly and when asked to, shows its progress and logs it."""

    def __init__(self, lane: loop.Lane, block: _Block, now: Callable[[], float]):
        self.lane, self.block, self.run, self.now = lane, block, lane.run, now
        self.name = f"seed {lane.seed}"
        self.log = block.resources.enter_context(closing(EventLog(f"{lane.cell.path}/seed-{lane.seed}")))
        self.saved_at = self.counted_at = now()
        self.interval: float = CHECKPOINT_SECONDS
        self._tell()

    @property
    def where(self) -> str:
        """How far the run is, for the message of one that is stopped."""
        return f"in {self.name} after {self.run.where}"

    def tick(self) -> None:
        """After a mini-batch."""
        if self.now() - self.saved_at > self.interval:
            self.save()
        self._tell()

    def save(self) -> None:
        """Write a checkpoint. The next one is due late enough that saving takes no more than its share of the time."""
        begun = self.now()
        self.run.seconds += begun - self.counted_at
        self.counted_at = begun
        with self.lane.place():
            checkpoint.save(self.run, self.block.folder(self.lane.seed))
        self.saved_at = self.now()
        self.interval = max(CHECKPOINT_SECONDS, (self.saved_at - begun) / SAVING_SHARE)

    def _tell(self) -> None:
        run, block = self.run, self.block
        self.log.add(run.rows)
        # Testing is the last part of an epoch.
        block.done[self.lane.seed] = run.epoch + len(run.losses) / (self.lane.minibatches + 1)
        done = sum(block.done.values())
        if block.progress.due(done):
            known = [row["test_accuracy"] for row in run.rows if row["test_accuracy"] is not None]
            ending = ", diverged" if run.diverged else f", test accuracy {known[-1]:.1%}" if known else ""
            block.progress.show(done, self.name + ending)


def _table(dataset: str, cell: Cell, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The tidy history: the data set and the cell's factors in front, types set even where all is missing."""
    table = pd.DataFrame(rows)
    factors = {"dataset": dataset} | cell.factors
    for position, (name, value) in enumerate(factors.items()):
        table.insert(position, name, value)
    measured = [name for name in MEASURED if name != "test_correct"] + ["last_finite_loss"]
    steps = ["first_bad_step", "first_absolute_step"]
    return table.astype(dict.fromkeys(measured, "float64") | dict.fromkeys(steps, "Int64") | {"failure": "string"})
