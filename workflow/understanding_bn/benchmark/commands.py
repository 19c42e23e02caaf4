"""The command line of the benchmarks."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any


def _data(args: argparse.Namespace) -> None:
    from understanding_bn.benchmark import data

    data.run(args.sizes, args.images, args.batch_size, args.rounds, args.out, args.threads, args.device)


def _train(args: argparse.Namespace) -> None:
    from understanding_bn.benchmark import engine, train

    if args.device == "cuda":
        last = (args.archs[-1], args.sizes[-1], args.norms[-1], args.batch_sizes[-1])
        engine.run(*last, args.steps, args.seconds, args.out, args.device)
        return
    sides = (args.archs, args.sizes, args.norms, args.batch_sizes)
    machine = (args.jobs, args.threads, args.device, args.neighbours, args.precisions)
    train.run(*sides, args.rounds, args.steps, args.out, *machine)


def _precision(args: argparse.Namespace) -> None:
    from understanding_bn.benchmark import precision

    precision.run(args.store, args.precision, args.arch, args.epochs, args.seeds, args.out, args.device)


def _hvp(args: argparse.Namespace) -> None:
    from understanding_bn.benchmark import hvp

    sides = (args.archs, args.sizes, args.norms)
    hvp.run(*sides, args.batch_size, args.rounds, args.probes, args.steps, args.out, args.threads, args.device)


def _plan(args: argparse.Namespace) -> None:
    from understanding_bn.benchmark import plan
    from understanding_bn.experiment import load

    config = load.resolve(load.load(args.preset))
    plan.run(config, args.records, args.out or Path(f"results/benchmark/plan-{config.preset}.json"), args.store)


def _scale(args: argparse.Namespace) -> None:
    from understanding_bn.benchmark import scale

    scale.run(args.cells, args.out)


def _start(args: argparse.Namespace) -> None:
    from understanding_bn.benchmark import start

    start.run(args.rounds, args.out)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the benchmarks, each a stage of its own below `benchmark`."""
    stages = parser.add_subparsers(required=True, metavar="WHAT")

    stage = partial(_stage, stages)

    def measured(parser: argparse.ArgumentParser, name: str, device: str, sizes: tuple[int, ...] = (8, 32)) -> None:
        parser.add_argument("--sizes", type=int, nargs="+", default=sizes, help="sides of the images, in pixels")
        parser.add_argument("--rounds", type=int, default=5, help="how often the two sides take turns")
        parser.add_argument("--threads", type=int, default=1, help="of each of our processes")
        parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default=device)
        parser.add_argument("--out", type=Path, default=Path(f"results/benchmark/{name}.json"))

    p = stage("data", _data, "augmentation: ours against torchvision's transforms in a DataLoader")
    measured(p, "data", "cpu")
    p.add_argument("--batch-size", type=int, default=128)
    p.add_argument("--images", type=int, default=5000)

    p = stage("train", _train, "training step: ours against the script that a user would write")
    measured(p, "train", "auto")
    p.add_argument("--batch-sizes", type=int, nargs="+", default=[128])
    p.add_argument("--archs", nargs="+", default=["resnet-20", "resnet-110"])
    p.add_argument("--norms", nargs="+", default=["batch"])
    p.add_argument("--steps", type=int, default=10, help="mini-batches in a round")
    p.add_argument("--jobs", type=int, help="our processes side by side; by default as many as fill the cores")
    p.add_argument(
        "--neighbours", type=int, default=0, help="busy processes; if any, each side also has rounds with them"
    )

    p.add_argument(
        "--precisions", nargs="*", choices=["bfloat16"], default=[], help="others than float32, for our side"
    )

    p.add_argument(
        "--seconds", type=int, default=120, help="on a GPU, where the last case is trained in every way there is"
    )

    p = stage("precision", _precision, "test accuracies after training in another precision than float32, seed by seed")
    p.add_argument("--store", type=Path, required=True, help="the prepared data set (.npz)")
    p.add_argument("--precision", choices=["bfloat16", "tf32"], default="bfloat16")
    p.add_argument("--arch", default="resnet-8")
    p.add_argument("--epochs", type=int, default=10)
    p.add_argument("--seeds", type=int, default=10)
    p.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    p.add_argument("--out", type=Path, default=Path("results/benchmark/precision.json"))

    p = stage("hvp", _hvp, "Hessian-vector products, in gradients, and a spectral density against PyHessian's")
    measured(p, "hvp", "auto", sizes=(8,))  # 32 takes a quarter of an hour
    p.add_argument("--batch-size", type=int, default=128)
    p.add_argument("--archs", nargs="+", default=["resnet-20"])
    p.add_argument("--norms", nargs="+", default=["none", "batch"])
    p.add_argument("--probes", type=int, default=1, help="of the spectral density")
    p.add_argument("--steps", type=int, default=10, help="of Lanczos, for each probe")

    p = stage("plan", _plan, "what a preset's training costs, from the rates that `benchmark train` measured")
    p.add_argument("--preset", type=Path, help="the preset's file; config.yaml if none is given")
    kept = Path("results/reference/benchmark")
    records = sorted([*kept.glob("train*.json"), *kept.glob("engine*.json")])
    p.add_argument("--records", type=Path, nargs="*", default=records, help="by default those in results/reference")
    p.add_argument("--store", type=Path, help="the prepared data set, for data sets of your own")
    p.add_argument("--out", type=Path, help="by default results/benchmark/plan-PRESET.json")

    p = stage("start", _start, "short jobs: from nothing against forked from a run's warm process")
    p.add_argument("--rounds", type=int, default=5, help="how often the two sides take turns")
    p.add_argument("--out", type=Path, default=Path("results/benchmark/start.json"))

    p = stage("scale", _scale, "what planning a large grid costs, and finding a finished one finished")
    p.add_argument("--cells", type=int, default=10_000, help="how many; a multiple of 400")
    p.add_argument("--out", type=Path, default=Path("results/benchmark/scale.json"))


def _stage(stages: Any, name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
    added = stages.add_parser(name, help=text, description=text)
    added.set_defaults(run=run)
    return added
