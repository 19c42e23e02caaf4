"""The command line: one stage per kind of rule, so that any job can be run by hand.

python -m understanding_bn STAGE --help
"""

import argparse
import shutil
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from understanding_bn import failures, files, plugin_files, plugins, warm
from understanding_bn.benchmark import commands as benchmarks
from understanding_bn.errors import Stopped, UserError

J = TypeVar("J")


def main(arguments: list[str] | None = None) -> None:
    """Run one stage. A mistake of the user's is one line on stderr and exit status 2."""
    try:
        args = parser().parse_args(arguments)
        warm.settle_libraries(getattr(args, "threads", 1))  # NumPy is first imported below
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


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


class _Paths(argparse.Action):
    """Paths; @FILE stands for those that the lines of FILE name. One that begins with @ itself is written ./@…"""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        expanded = (files.read_list(Path(value[1:])) if value.startswith("@") else [value] for value in values)
        setattr(namespace, self.dest, [Path(name) for names in expanded for name in names])


def _job(kind: Callable[[], type[J]], spec: str) -> J:
    """The job that a spec describes.

    Raises:
        UserError: it is not JSON, or not a job of this kind.
    """
    from pydantic import ValidationError

    try:
        return kind().model_validate_json(spec)  # type: ignore[attr-defined]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"--spec: {where + ': ' if where else ''}{first['msg']}") from None


# Imports stand inside the stages: reading --help, or drawing a figure, must not wait for torch.


def _jobs() -> Any:
    from understanding_bn.experiment import jobs

    return jobs


def _check(args: argparse.Namespace) -> None:
    from understanding_bn.experiment import yaml_files

    if args.syntax and not yaml_files.OF_SNAKEMAKE & yaml_files.read(args.file).keys():
        return  # the Snakefile checks the rest, and does not need to be checked twice
    from understanding_bn.data import sources
    from understanding_bn.experiment import load
    from understanding_bn.experiment.plan import plan

    try:
        planned = plan(load.resolve(load.load(args.file)))
        config = planned.config
        sources.find(config.dataset, sources.folder(config.data_dir) if config.data_dir else None)
    except UserError as error:
        raise UserError(f"{'' if str(args.file) in str(error) else f'{args.file}: '}{error}") from None
    drawn = sum(bool(inputs) for inputs in planned.items.values())
    jobs = f"{len(planned.measured)} jobs that train or measure, {drawn} figures and tables"
    print(f"{args.file}: no mistake; preset {config.preset} has {jobs}")


def _data(args: argparse.Namespace) -> None:
    from understanding_bn.data import store
    from understanding_bn.record import Data

    job = _job(lambda: _jobs().Prepare, args.spec)
    data_dir = Path(job.data_dir).expanduser() if job.data_dir else None
    counts = job.train, job.test, job.channels, job.image_size, job.validation
    info = store.prepare(job.dataset, data_dir, args.out, *counts).info
    print(f"{info['source']}: {Data.model_validate(info).images}", file=sys.stderr)


def _images(args: argparse.Namespace) -> None:
    from understanding_bn.data import encodings

    files.write_json(args.out, encodings.describe(args.data_dir))


def _train(args: argparse.Namespace) -> None:
    from understanding_bn.stages import train

    job = _job(lambda: _jobs().Train, args.spec)
    with plugins.watched(plugin_files.paths(job.plugins)):
        train.run(job, args.store, args.out, args.state, args.threads, args.device, args.lanes)


def _train_ahead(args: argparse.Namespace) -> None:
    from understanding_bn.stages import ahead

    work = ahead.read(args.jobs)
    plugged = plugin_files.paths(dict.fromkeys(name for job, _ in work for name in job.plugins))
    with plugins.watched(plugged):
        ahead.run(work, args.store, args.state, args.threads, args.device, args.lanes)


def _measure(args: argparse.Namespace) -> None:
    from understanding_bn.stages import measure

    job = _job(lambda: _jobs().Measure, args.spec)
    with plugins.watched(plugin_files.paths(job.plugins)):
        measure.run(job, args.store, args.weights, args.out, args.threads, args.device)


def _random_matrices(args: argparse.Namespace) -> None:
    from understanding_bn.stages import matrices

    matrices.run(_job(lambda: _jobs().Matrices, args.spec), args.out, args.threads)


def _figure(args: argparse.Namespace) -> None:
    from understanding_bn.figures import drawing

    inputs = files.read_inputs(args.inputs)
    with failures.told(args.name):
        drawing.draw(args.name, inputs, args.out)


def _claims(args: argparse.Namespace) -> None:
    from understanding_bn.claims import judging

    judging.run(files.read_inputs(args.inputs), args.out, args.followups)


def _named(preset: str) -> str:
    """The preset of this name, or of this file."""
    if not preset.endswith(".yaml"):
        return preset
    from understanding_bn.experiment import load

    return load.resolve(load.load(Path(preset))).preset


def _verdicts(args: argparse.Namespace) -> None:
    from understanding_bn.claims import story

    folder = args.results / _named(args.preset)
    kept = files.read_json(args.kept) if args.kept.is_file() else ()
    judged = files.read_json(folder / "claims.json")
    for sentence in story.sentences(judged, kept):
        print(textwrap.fill(sentence, shutil.get_terminal_size().columns, subsequent_indent="  "))
    report = folder / "report.html"
    print(f"\nEvery verdict, figure and table: {report}  (open it in a browser)")
    print("One figure: make fig3.  Your numbers beside the kept ones: make verify.  All targets: make help.")
    judged += files.read_json(folder / "followups.json")
    if unjudged := [f"claim {claim['id']} {claim['note']}" for claim in judged if "failure" in claim]:
        raise UserError("; ".join(unjudged))


def _report(args: argparse.Namespace) -> None:
    from understanding_bn.report import items, page

    judged = (args.claims, args.followups)
    lost = {path: items.lost(path, args.logs) for path in args.items if not path.is_file()}
    page.run(args.preset, *judged, args.items, args.runs, args.captions, args.kept, args.out, lost)


def _crate(args: argparse.Namespace) -> None:
    from understanding_bn.report import crate

    crate.run(args.report, args.claims, args.items, args.runs)


def _status(args: argparse.Namespace) -> None:
    from understanding_bn import status

    status.run(_named(args.preset), args.results)


def _missing(args: argparse.Namespace) -> None:
    from understanding_bn.report import missing

    missing.run(args.preset, args.results, args.reference, args.first)


def _verify(args: argparse.Namespace) -> None:
    from understanding_bn.report.verify import run

    preset = _named(args.preset)
    sys.exit(run.run(args.results / preset, args.reference / (args.record or preset), args.any_data))


def _record(args: argparse.Namespace) -> None:
    from understanding_bn.report import reference

    reference.keep(args.results, args.reference, [_named(preset) for preset in args.presets])


def _rebuild(args: argparse.Namespace) -> None:
    from understanding_bn.report import rebuild

    rebuild.rebuild(args.record, args.out, args.captions, args.kept)


def _fill(args: argparse.Namespace) -> None:
    from understanding_bn.docs_pages import fill

    for page in args.pages:
        fill.fill(page, args.reference)


def _keys(args: argparse.Namespace) -> None:
    from understanding_bn.docs_pages import keys

    keys.write(args.schema, args.page)


def parser() -> argparse.ArgumentParser:
    """The command line's parser: every stage with its arguments, and in `run` what carries it out."""
    parser = argparse.ArgumentParser(prog="python -m understanding_bn", description=(__doc__ or "").split("\n\n")[0])
    stages = parser.add_subparsers(required=True, metavar="STAGE")
    stage = partial(add_stage, stages)

    p = stage("check", _check, "say whether a config file has a mistake, and run nothing")
    p.add_argument("file", type=Path, help="the file, such as mine.yaml")
    p.add_argument("--syntax", action="store_true", help="only what Snakemake reads before it gets to the Snakefile")

    p = stage("data", _data, "prepare a data set's store")
    _spec(p, '{"dataset": "digits"}')
    p.add_argument("--out", type=Path, required=True, help="the store to write (.npz)")

    p = stage("images", _images, "say how the images in train.parquet and test.parquet are encoded, as JSON")
    p.add_argument("data_dir", type=Path, help="the folder of these files")
    p.add_argument("--out", type=Path, required=True, help="the file to write, results/reference/images/NAME.json")

    p = stage("train", _train, "train a cell of the grid for a block of seeds")
    _spec(p, '{"cell": …, "seeds": [0, 1], "optimiser": …, "augmentation": …, "milestones": [0.5, 0.75]}')
    _numeric(p)
    _in_lanes(p)

    p = stage("train-ahead", _train_ahead, "train many cells side by side; Snakemake's jobs then take the results")
    p.add_argument("--jobs", type=Path, required=True, help="the list that the rule `ahead` names")
    _on_data(p)
    _in_lanes(p)

    p = stage(
        "measure", _measure, "make one measurement, at initialisation or on the networks that a training job left"
    )
    _spec(p, '{"measurement": "channel_moments", "network": …, "options": …, "seeds": [0, 1], …}')
    _numeric(p)
    p.add_argument("--weights", type=Path, help="weights.pt of the training job, for a measurement on its networks")

    p = stage("random-matrices", _random_matrices, "singular values of products of Gaussian matrices")
    _spec(p, '{"size": 1000, "factors": [1, 2], "draws": 10}')
    p.add_argument("--out", type=Path, required=True, help="folder to write to")
    p.add_argument("--threads", type=int, default=1)

    p = stage("figure", _figure, "draw one figure or table from result files")
    p.add_argument("name", help="a module of understanding_bn.figures, such as fig3_relative_loss")
    help_ = 'JSON file that lists Parquet files by table, {"histories": […]}'
    p.add_argument("--inputs", type=Path, required=True, help=help_)
    p.add_argument("--out", type=Path, required=True, help="folder to write to")

    p = stage("claims", _claims, "judge every claim of the paper")
    p.add_argument("--inputs", type=Path, required=True, help=f"{help_}, a run.json in the folder of each")
    p.add_argument("--out", type=Path, required=True, help="the claims.json to write")
    p.add_argument(
        "--followups", type=Path, required=True, help="the same for predictions of later work, followups.json"
    )

    p = stage("report", _report, "build the report page")
    p.add_argument("--preset", required=True)
    p.add_argument("--claims", type=Path, required=True)
    p.add_argument("--followups", type=Path, required=True, help="followups.json")
    p.add_argument("--items", type=Path, nargs="+", required=True, help="figures (.png) and tables (.md), in order")
    logs = "folder of the logs, such as logs/quick, which say why a figure or table is missing"
    p.add_argument("--logs", type=Path, default=Path("logs"), help=logs)
    runs = "the run.json of every job behind them, or @FILE that lists them"
    p.add_argument("--runs", action=_Paths, nargs="+", required=True, help=runs)
    p.add_argument("--captions", type=Path, required=True, help="folder of captions, NAME.rst")
    kept = "a kept claims.json of the paper's scale, to compare smaller ones with"
    p.add_argument("--kept", type=Path, help=kept)
    p.add_argument("--out", type=Path, required=True, help="the page to write (.html)")

    p = stage("crate", _crate, "describe a finished run for machines, as an RO-Crate")
    p.add_argument("--report", type=Path, required=True, help="the page; ro-crate-metadata.json goes into its folder")
    p.add_argument("--claims", type=Path, nargs="+", required=True, help="claims.json and followups.json")
    p.add_argument("--items", type=Path, nargs="+", required=True, help="figures (.png) and tables (.md)")
    p.add_argument("--runs", action=_Paths, nargs="+", required=True, help=runs)

    benchmarks.add(stages.add_parser("benchmark", help="measure speed here, and estimate what a preset costs"))

    p = stage("status", _status, "how far a run of a preset is: jobs done, running, stopped and left, and time left")
    p.add_argument("preset", nargs="?", default="quick", help="name of a folder in results (default: quick)")
    p.add_argument("--results", type=Path, default=Path("results"))

    p = stage("missing", _missing, "the files that neither the results of a preset nor its record has, for snakemake")
    p.add_argument("preset", help="name of a preset, or its file")
    help_ = "only those of so many runs: every cell gets its first seeds before any gets more"
    p.add_argument("--first", type=int, metavar="N", help=help_)
    p.add_argument("--results", type=Path, default=Path("results"))
    p.add_argument("--reference", type=Path, default=Path("results/reference"))

    p = stage("verdicts", _verdicts, "what a finished preset says of the paper's argument, in five sentences")
    p.add_argument("preset", nargs="?", default="quick", help="name of a folder in results (default: quick)")
    p.add_argument("--results", type=Path, default=Path("results"))
    p.add_argument("--kept", type=Path, default=Path("results/reference/cifar10-init/claims.json"), help=kept)

    p = stage("verify", _verify, "compare a finished preset with its kept record: the same numbers and verdicts?")
    p.add_argument("preset", nargs="?", default="quick", help="name of a folder in results (default: quick)")
    p.add_argument("--record", help="name of the record, where it is not the preset's")
    p.add_argument("--any-data", action="store_true", help="compare although the images were others")
    p.add_argument("--results", type=Path, default=Path("results"))
    p.add_argument("--reference", type=Path, default=Path("results/reference"))

    p = stage(
        "record",
        _record,
        "keep the small results of presets, with their provenance, beside what is kept of earlier runs",
    )
    p.add_argument("presets", nargs="+", help="names of folders in results, or files of presets")
    p.add_argument("--results", type=Path, default=Path("results"))
    p.add_argument("--reference", type=Path, default=Path("results/reference"))

    p = stage("rebuild", _rebuild, "draw figures, judge claims and build the report of a kept preset again")
    p.add_argument("record", type=Path, help="folder of the kept preset, such as results/reference/open-questions")
    p.add_argument("--captions", type=Path, required=True, help="folder of captions, NAME.rst")
    p.add_argument("--kept", type=Path, help=kept)
    p.add_argument("--out", type=Path, required=True, help="folder to write to")

    p = stage("fill", _fill, "rewrite the numbers in pages from kept results")
    p.add_argument("pages", type=Path, nargs="+", help="Markdown files")
    p.add_argument("--reference", type=Path, default=Path("results/reference"))

    p = stage("keys", _keys, "write the config's JSON schema and the reference of its keys from its typed models")
    p.add_argument("--schema", type=Path, default=Path("workflow/schemas/config.schema.yaml"))
    p.add_argument("--page", type=Path, default=Path("docs/config.md"))
    return parser


def add_stage(stages: Any, name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
    """The parser of one more stage, which `run` carries out."""
    added = stages.add_parser(name, help=text, description=text)
    added.set_defaults(run=run)
    return added


def _spec(parser: argparse.ArgumentParser, example: str) -> None:
    parser.add_argument("--spec", required=True, help=f"what to do, as JSON: {example}".replace("%", "%%"))


def _numeric(parser: argparse.ArgumentParser) -> None:
    """Arguments of the stages that compute with networks: where files are, and on what to compute."""
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    _on_data(parser)


def _on_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", type=Path, required=True, help="the prepared data set (.npz)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")


def _in_lanes(parser: argparse.ArgumentParser) -> None:
    """Arguments of training."""
    parser.add_argument("--state", type=Path, required=True, help="folder for checkpoints of unfinished runs")
    parser.add_argument(
        "--lanes", type=int, help="runs side by side; by default what a GPU's memory holds, on a CPU one"
    )
