"""The command line: one stage per kind of rule, so that any job can be rerun by hand.

python -m understanding_bn STAGE --help
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from understanding_bn import files
from understanding_bn.errors import Stopped, UserError


def main(arguments: list[str] | None = None) -> None:
    """Run one stage. A mistake of the user's is one line on stderr and exit status 2."""
    try:
        args = _parser().parse_args(arguments)
        # Sums depend on the number of threads. NumPy reads these once, when it is first imported, which is below.
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[variable] = str(getattr(args, "threads", 1))
        for path in files.date_back(_inputs(args)):
            print(f"{path}: its date lay in the future, as a clock has gone back; it is dated now", file=sys.stderr)
        args.run(args)
    except UserError as error:
        sys.exit(_fail(str(error)))
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(128 + stopped.number)
    except OSError as error:
        if (trouble := files.trouble(error)) is None:
            raise
        sys.exit(_fail(trouble))


def _inputs(args: argparse.Namespace) -> list[Path]:
    """The files that a stage reads, of those that its arguments name."""
    names = ("store", "weights", "inputs", "claims", "later", "items", "runs", "kept")
    given = [getattr(args, name, None) for name in names]
    return [path for value in given if value for path in (value if isinstance(value, list) else [value])]


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


class _Paths(argparse.Action):
    """Paths; @FILE stands for those that the lines of FILE name. One that begins with @ itself is written ./@…"""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        expanded = (files.read_list(Path(value[1:])) if value.startswith("@") else [value] for value in values)
        setattr(namespace, self.dest, [Path(name) for names in expanded for name in names])


# Imports stand inside the stages: reading --help, or drawing a figure, must not wait for torch.


def _data(args: argparse.Namespace) -> None:
    from understanding_bn.data import store

    info = store.prepare(args.dataset, args.data_dir, args.out, args.train, args.test).info
    print(
        f"{info['source']}: {info['train_images']} training and {info['test_images']} test images",
        file=sys.stderr,
    )


def _cell(args: argparse.Namespace) -> Any:
    """The cell of the grid that a stage's arguments name."""
    from understanding_bn.cell import Cell

    return Cell(args.arch, args.init, args.norm, args.alpha, args.batch_size, args.epochs)


def _sgd(args: argparse.Namespace) -> tuple[Any, Any]:
    """The optimiser and the augmentation of training."""
    from understanding_bn.data.batches import Augmentation
    from understanding_bn.training.loop import Optimiser

    return Optimiser(args.momentum, args.weight_decay), Augmentation(args.pad, args.flip)


def _train(args: argparse.Namespace) -> None:
    from understanding_bn.training import job

    job.run(
        args.store,
        _cell(args),
        *_sgd(args),
        args.milestones,
        args.snapshots,
        args.seeds,
        args.out,
        args.state,
        args.threads,
        args.device,
    )


def _initialization(args: argparse.Namespace) -> None:
    from understanding_bn.analysis import job

    job.run(
        args.probe,
        args.store,
        args.arch,
        args.init,
        args.norm,
        args.batch_size,
        *_sgd(args),
        args.options,
        args.seeds,
        args.out,
        args.threads,
        args.device,
    )


def _trained(args: argparse.Namespace) -> None:
    from understanding_bn.analysis import job

    job.run_trained(
        args.probe,
        args.store,
        args.weights,
        _cell(args),
        *_sgd(args),
        args.at,
        args.options,
        args.seeds,
        args.out,
        args.threads,
        args.device,
    )


def _random_matrices(args: argparse.Namespace) -> None:
    from understanding_bn.analysis import random_matrices

    random_matrices.run(args.size, args.factors, args.draws, args.out, args.threads)


def _figure(args: argparse.Namespace) -> None:
    from understanding_bn.figures import job

    job.draw(args.name, args.inputs, args.out)


def _claims(args: argparse.Namespace) -> None:
    from understanding_bn.claims import job

    job.run(args.inputs, args.roles, args.out, args.later)


def _report(args: argparse.Namespace) -> None:
    from understanding_bn.report import job

    judged = (args.claims, args.later)
    job.run(args.preset, *judged, args.items, args.runs, args.captions, args.kept, args.out)


def _benchmark_data(args: argparse.Namespace) -> None:
    from understanding_bn.benchmark import data

    data.run(args.sizes, args.images, args.batch_size, args.rounds, args.out, args.threads, args.device)


def _benchmark_train(args: argparse.Namespace) -> None:
    from understanding_bn.benchmark import train

    sides = (args.archs, args.sizes, args.norms, args.batch_sizes)
    machine = (args.jobs, args.threads, args.device, args.neighbours)
    train.run(*sides, args.rounds, args.steps, args.out, *machine)


def _benchmark_hvp(args: argparse.Namespace) -> None:
    from understanding_bn.benchmark import hvp

    sides = (args.archs, args.sizes, args.norms)
    hvp.run(*sides, args.batch_size, args.rounds, args.probes, args.steps, args.out, args.threads, args.device)


def _benchmark_plan(args: argparse.Namespace) -> None:
    from understanding_bn import config
    from understanding_bn.benchmark import plan

    resolved = config.resolve(config.load(args.preset))
    plan.run(resolved, args.records, args.out or Path(f"results/benchmark/plan-{resolved['preset']}.json"), args.store)


def _benchmark_scale(args: argparse.Namespace) -> None:
    from understanding_bn.benchmark import scale

    scale.run(args.cells, args.out)


def _status(args: argparse.Namespace) -> None:
    from understanding_bn import status

    status.run(args.preset, args.results, args.logs)


def _record(args: argparse.Namespace) -> None:
    from understanding_bn.report import reference

    reference.record(args.results, args.reference, args.presets)


def _crate(args: argparse.Namespace) -> None:
    from understanding_bn.report import crate

    crate.run(args.report, args.claims, args.items, args.runs)


def _rebuild(args: argparse.Namespace) -> None:
    from understanding_bn.report import rebuild

    rebuild.rebuild(args.record, args.out, args.captions, args.kept)


def _fill(args: argparse.Namespace) -> None:
    from understanding_bn.report import reference

    for page in args.pages:
        reference.fill(page, args.reference)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m understanding_bn", description=__doc__.split("\n\n")[0])
    stages = parser.add_subparsers(required=True, metavar="STAGE")

    stage = partial(_stage, stages)

    p = stage("data", _data, "prepare a data set's store")
    p.add_argument("--dataset", choices=["digits", "cifar10", "parquet", "folder"], required=True)
    p.add_argument("--data-dir", type=Path, help="folder to find the data in")
    p.add_argument("--train", type=int, default=0, help="how many training images to take (0: all)")
    p.add_argument("--test", type=int, default=0, help="how many test images to take (0: all)")
    p.add_argument("--out", type=Path, required=True, help="the store to write (.npz)")

    p = stage("train", _train, "train a cell of the grid for a block of seeds")
    _shared(p)
    p.add_argument("--alpha", required=True, help="learning rate α, a decimal such as 0.0001")
    p.add_argument("--epochs", type=int, required=True)
    help_ = "shares of training at which the learning rate falls tenfold"
    p.add_argument("--milestones", type=float, nargs="*", default=[0.5, 0.75], help=help_)
    help_ = "shares of training after which weights are kept, beside those of the end"
    p.add_argument("--snapshots", type=float, nargs="*", default=[], help=help_)
    p.add_argument("--state", type=Path, required=True, help="folder for checkpoints of unfinished runs")

    p = stage("initialization", _initialization, "measure at initialisation and in the first steps")
    p.add_argument("probe", help="a module of understanding_bn.analysis, such as channel_moments")
    _shared(p)
    p.add_argument("--options", type=json.loads, default={}, help="the measurement's own options, as JSON")

    p = stage("trained", _trained, "measure on the networks that a training job left")
    p.add_argument("probe", help="a module of understanding_bn.analysis, such as gradient_structure")
    _shared(p)
    p.add_argument("--weights", type=Path, required=True, help="weights.pt of the training job")
    p.add_argument("--alpha", required=True, help="learning rate α of the training job")
    p.add_argument("--epochs", type=int, required=True, help="epochs of the training job")
    p.add_argument("--at", type=float, nargs="+", required=True, help="shares of training: 0, 1 or its snapshots")
    p.add_argument("--options", type=json.loads, default={}, help="the measurement's own options, as JSON")

    p = stage("random-matrices", _random_matrices, "singular values of products of Gaussian matrices")
    p.add_argument("--size", type=int, required=True, help="N of the N×N matrices")
    p.add_argument("--factors", type=int, nargs="+", required=True)
    p.add_argument("--draws", type=int, required=True)
    p.add_argument("--out", type=Path, required=True, help="folder to write to")
    p.add_argument("--threads", type=int, default=1)

    p = stage("figure", _figure, "draw one figure or table from result files")
    p.add_argument("name", help="a module of understanding_bn.figures, such as fig3_relative_loss")
    p.add_argument("--inputs", action=_Paths, nargs="+", required=True, help="Parquet files, or @FILE that lists them")
    p.add_argument("--out", type=Path, required=True, help="folder to write to")

    p = stage("claims", _claims, "judge every claim of the paper")
    help_ = "Parquet files, run.json beside each, or @FILE that lists them"
    p.add_argument("--inputs", action=_Paths, nargs="+", required=True, help=help_)
    p.add_argument("--roles", type=json.loads, required=True, help="the config's claims block, as JSON")
    p.add_argument("--out", type=Path, required=True, help="the claims.json to write")
    p.add_argument("--later", type=Path, required=True, help="the same for predictions of later work, later.json")

    p = stage("report", _report, "build the report page")
    p.add_argument("--preset", required=True)
    p.add_argument("--claims", type=Path, required=True)
    p.add_argument("--later", type=Path, required=True, help="later.json")
    p.add_argument("--items", type=Path, nargs="+", required=True, help="figures (.png) and tables (.md), in order")
    help_ = "the run.json of every job behind them, or @FILE that lists them"
    p.add_argument("--runs", action=_Paths, nargs="+", required=True, help=help_)
    p.add_argument("--captions", type=Path, required=True, help="folder of captions, NAME.rst")
    p.add_argument("--kept", type=Path, help="a kept claims.json of the paper's scale, set beside smaller ones")
    p.add_argument("--out", type=Path, required=True, help="the page to write (.html)")

    p = stage("crate", _crate, "describe a finished run for machines, as an RO-Crate")
    p.add_argument("--report", type=Path, required=True, help="the page, beside which ro-crate-metadata.json goes")
    p.add_argument("--claims", type=Path, nargs="+", required=True, help="claims.json and later.json")
    p.add_argument("--items", type=Path, nargs="+", required=True, help="figures (.png) and tables (.md)")
    p.add_argument("--runs", action=_Paths, nargs="+", required=True, help=help_)

    _benchmarks(stages.add_parser("benchmark", help="measure speed here, and plan what a preset costs"))

    p = stage("status", _status, "where a run of a preset stands: jobs done, running, stopped and left, and time left")
    p.add_argument("preset", nargs="?", default="quick", help="name of a folder in results (default: quick)")
    p.add_argument("--results", type=Path, default=Path("results"))
    p.add_argument("--logs", type=Path, default=Path("logs"))

    p = stage("record", _record, "keep the small results of finished presets, with their provenance")
    p.add_argument("presets", nargs="+", help="names of folders in results")
    p.add_argument("--results", type=Path, default=Path("results"))
    p.add_argument("--reference", type=Path, default=Path("results/reference"))

    p = stage("rebuild", _rebuild, "draw figures, judge claims and build the report of a kept preset anew")
    p.add_argument("record", type=Path, help="folder of the kept preset, such as results/reference/open-questions")
    p.add_argument("--captions", type=Path, required=True, help="folder of captions, NAME.rst")
    p.add_argument("--kept", type=Path, help="a kept claims.json of the paper's scale, set beside smaller ones")
    p.add_argument("--out", type=Path, required=True, help="folder to write to")

    p = stage("fill", _fill, "rewrite the numbers in pages from kept results")
    p.add_argument("pages", type=Path, nargs="+", help="Markdown files")
    p.add_argument("--reference", type=Path, default=Path("results/reference"))
    return parser


def _stage(stages, name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
    """The parser of one more stage, which `run` carries out."""
    added = stages.add_parser(name, help=text, description=text)
    added.set_defaults(run=run)
    return added


def _benchmarks(parser: argparse.ArgumentParser) -> None:
    """The benchmarks, each a stage of its own below `benchmark`."""
    stages = parser.add_subparsers(required=True, metavar="WHAT")

    stage = partial(_stage, stages)

    def measured(parser: argparse.ArgumentParser, name: str, device: str, sizes: tuple[int, ...] = (8, 32)) -> None:
        parser.add_argument("--sizes", type=int, nargs="+", default=sizes, help="sides of the images, in pixels")
        parser.add_argument("--rounds", type=int, default=5, help="how often the two sides take turns")
        parser.add_argument("--threads", type=int, default=1, help="of each of our processes")
        parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default=device)
        parser.add_argument("--out", type=Path, default=Path(f"results/benchmark/{name}.json"))

    p = stage("data", _benchmark_data, "augmentation: ours against torchvision's transforms in a DataLoader")
    measured(p, "data", "cpu")
    p.add_argument("--batch-size", type=int, default=128)
    p.add_argument("--images", type=int, default=5000)

    p = stage("train", _benchmark_train, "training step: ours against the script that a user would write")
    measured(p, "train", "auto")
    p.add_argument("--batch-sizes", type=int, nargs="+", default=[128])
    p.add_argument("--archs", nargs="+", default=["resnet-20", "resnet-110"])
    p.add_argument("--norms", nargs="+", default=["batch"])
    p.add_argument("--steps", type=int, default=10, help="mini-batches in a round")
    p.add_argument("--jobs", type=int, help="our processes side by side; by default as many as fill the cores")
    p.add_argument("--neighbours", type=int, default=0, help="busy processes; rounds beside them are added if any")

    p = stage("hvp", _benchmark_hvp, "Hessian-vector products, in gradients, and a spectral density beside PyHessian's")
    measured(p, "hvp", "auto", sizes=(8,))  # 32 takes a quarter of an hour
    p.add_argument("--batch-size", type=int, default=128)
    p.add_argument("--archs", nargs="+", default=["resnet-20"])
    p.add_argument("--norms", nargs="+", default=["none", "batch"])
    p.add_argument("--probes", type=int, default=1, help="of the spectral density")
    p.add_argument("--steps", type=int, default=10, help="of Lanczos, for each probe")

    p = stage("plan", _benchmark_plan, "what a preset's training costs, from the rates that `benchmark train` measured")
    p.add_argument("--preset", type=Path, help="the preset's file; config.yaml if none is given")
    kept = sorted(Path("results/reference/benchmark").glob("train*.json"))
    p.add_argument("--records", type=Path, nargs="*", default=kept, help="by default those in results/reference")
    p.add_argument("--store", type=Path, help="the prepared data set, for data sets of your own")
    p.add_argument("--out", type=Path, help="by default results/benchmark/plan-PRESET.json")

    p = stage("scale", _benchmark_scale, "what planning a large grid costs, and finding a finished one finished")
    p.add_argument("--cells", type=int, default=10_000, help="how many; a multiple of 400")
    p.add_argument("--out", type=Path, default=Path("results/benchmark/scale.json"))


def _shared(parser: argparse.ArgumentParser) -> None:
    """Arguments of every stage that works on images with a network."""
    parser.add_argument("--store", type=Path, required=True, help="the prepared data set (.npz)")
    parser.add_argument("--arch", required=True, help="resnet-D, resnet-padded-D or plain-D with D = 6n + 2")
    parser.add_argument("--init", required=True, help="weight initialisation")
    parser.add_argument("--norm", required=True, help="normalisation")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--pad", type=int, default=4, help="pixels around an image before a random crop")
    parser.add_argument("--flip", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
