"""What code is known by: it changes where numbers may change, and nowhere else."""

import ast
import shutil
from types import SimpleNamespace

import pytest
import small_configs
from measuring import LEAST, OF_TRAINED

from understanding_bn import fingerprint
from understanding_bn.experiment import load
from understanding_bn.experiment.jobs import MEASUREMENTS
from understanding_bn.experiment.plan import plan

PLAN = plan(load.resolve(load.load(load.PRESETS / "open-questions.yaml")))
# Measurements that it does not make.
MADE = {getattr(job, "measurement", "") for job in PLAN.measured}
LEFT = {name: least for name, least in LEAST.items() if name not in MADE}
AT_START, AT_END = ({name: LEFT[name] for name in LEFT if (name in OF_TRAINED) == late} for late in (False, True))
OTHERS = plan(small_configs.config(small_configs.entry(), start=AT_START, trained=AT_END))
MEASURED = [*PLAN.measured, *(jobs[0] for jobs in (OTHERS.initial | OTHERS.trained).values())]
NUMERIC = {getattr(job, "measurement", job.rule): job for job in [PLAN.prepare, *MEASURED]}
JUDGING = SimpleNamespace(modules=["claims.judging"], code=fingerprint.whole(["claims.judging"]))
WORDED = {f"draw {item.name}": item for item in PLAN.items} | {"judge": JUDGING}
JOBS = NUMERIC | WORDED
SEARCHES = ("max_learning_rate", "initial_sharpness")


@pytest.fixture
def package(tmp_path):
    """A copy of the package to change."""
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(fingerprint.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def codes(package):
    """What the code behind each kind of job is known by."""
    return {
        name: (fingerprint.whole if name in WORDED else fingerprint.numeric)(job.modules, package=package)
        for name, job in JOBS.items()
    }


def changed(package, path, old, new):
    """The kinds of jobs whose fingerprint changes when a file has something else in a place."""
    before = codes(package)
    text = (package / path).read_text()
    assert text.count(old) == 1, f"{path} has {old!r} {text.count(old)} times"
    (package / path).write_text(text.replace(old, new))
    after = codes(package)
    return {name for name in JOBS if before[name] != after[name]}


def test_every_kind_of_job_is_here():
    assert set(NUMERIC) == {"data", "train", "random_matrices", *MEASUREMENTS}
    assert len(WORDED) > 20
    assert len(set(codes(fingerprint.PACKAGE).values())) == len(JOBS)  # no two rest on the same code


def test_a_fingerprint_does_not_depend_on_where_the_package_lies(package):
    assert codes(package) == {name: job.code for name, job in JOBS.items()}


class Reworded(ast.NodeTransformer):
    """Changes every word that people read: docstrings, what is raised, warned of, printed and shown, and type hints."""

    SPEAKING = ("print", "warn", "Mistake", "Progress", "show")

    def __init__(self):
        self.words = 0

    def of_text(self, node):
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                part.value += " in other words"
                self.words += 1

    def visit_Expr(self, node):
        if isinstance(node.value, ast.Constant):
            self.of_text(node)
        return self.generic_visit(node)

    def visit_Raise(self, node):
        self.of_text(node)
        return node

    def visit_Call(self, node):
        if getattr(node.func, "id", getattr(node.func, "attr", "")) in self.SPEAKING:
            self.of_text(node)
            return node
        return self.generic_visit(node)

    def visit_FunctionDef(self, node):
        hint = ast.Name("object", ast.Load())
        node.returns = hint
        for argument in (*node.args.args, *node.args.kwonlyargs):
            argument.annotation = hint
        return self.generic_visit(node)


def test_other_words_layout_comments_and_type_hints_change_no_numbers_fingerprint(package):
    before, words = codes(package), 0
    for path in package.rglob("*.py"):
        transformer = Reworded()
        tree = transformer.visit(ast.parse(path.read_text()))
        path.write_text(f"# a remark\n\n{ast.unparse(ast.fix_missing_locations(tree))}\n    # another\n")
        words += transformer.words
    assert words > 500
    after = codes(package)
    assert {name for name in NUMERIC if before[name] != after[name]} == set()
    # Where words are part of what is made they count. Docstrings do not, which is all that a few modules have.
    assert before["judge"] != after["judge"]


NETWORKS = {"train", *MEASUREMENTS}
DRAWN = {name for name in WORDED if name.startswith("draw ")}
SHOW_PAPER = (
    {"judge"}
    | {
        f"draw {name}"
        for name in ("fig1_accuracy", "fig3_relative_loss", "fig5_channel_moments", "single_final_bn", "other_norms")
    }
    | {"draw table1_gradient_sums", "draw readings"}
)


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        # Constants.
        (
            "training/divergence.py",
            "BOUND = 1e3",
            "BOUND = 1e4",
            {"train", "divergence_path", "edge_of_stability", "effective_learning_rate", *SEARCHES},
        ),
        ("models/resnet.py", "WIDTHS = (16, 32, 64)", "WIDTHS = (16, 32, 65)", NETWORKS),
        ("measurements/gradient_structure.py", "HESSIAN = 101, 102,", "HESSIAN = 101, 103,", {"gradient_structure"}),
        # Operations.
        ("training/loop.py", "alpha * 0.1 **", "alpha * 0.2 **", {"train"}),
        ("training/update.py", "return loss.detach(), ", "return -loss.detach(), ", NETWORKS),
        ("data/store.py", "np.arange(256) / 255", "np.arange(256) / 256", NETWORKS | {"data"}),
        ("data/sources.py", "order[::5]", "order[::4]", NETWORKS | {"data"}),
        ("stages/measure.py", "if epoch <= last", "if epoch < last", set(MEASUREMENTS)),
        ("stages/matrices.py", "range(job.draws)", "range(1, job.draws)", {"random_matrices"}),
        ("cell.py", "max(1, round(", "max(2, round(", NETWORKS | set(WORDED)),
        # Functions imported under the same name.
        (
            "analysis/learning_rate_search.py",
            "from understanding_bn.training.update import step",
            "from understanding_bn.benchmark.baseline import train as step",
            {*SEARCHES},
        ),
        (
            "measurements/relative_loss.py",
            "from understanding_bn.training.update import step",
            "from understanding_bn.analysis.diverging_update import step",
            {"relative_loss"},
        ),
        # What is drawn and judged.
        ("figures/gradient_noise.py", "noise of the first update", "its noise", {"draw gradient_noise"}),
        ("summaries/gradient_noise.py", "(images - 1)", "(images - 2)", {"draw gradient_noise", "judge"}),
        ("figures/style.py", "font_scale=5 / 6", "font_scale=5 / 7", DRAWN),
        ("claims/catalogue.py", "12.0 points", "12 points", {"judge"}),
        # Data beside a module: the paper's curves, which whatever shows something of the paper may draw.
        ("paper_fig1.csv", "train,batch,0.003,2,83.01", "train,batch,0.003,2,83.02", SHOW_PAPER),
        # Words.
        ("data/parquet.py", "holds no rows; expected", "has no rows; expected", set()),
        ("data/sources.py", "download failed (", "the download failed (", set()),
        ("stages/train.py", "mirrored {", "flipped {", set()),
        ("stages/measure.py", "not readable weights (", "unreadable weights (", set()),
        ("stages/matrices.py", "products of Gaussian matrices", "Gaussian products", set()),
        ("measurements/max_learning_rate.py", "puts no learning rate", "has no learning rate", set()),
        ("training/divergence.py", "# nats", "# natural units", set()),
        ("training/loop.py", '-> float:\n    """The learning rate in', '->float:\n    """Alpha in', set()),
        # What no job is told.
        ("status.py", "SILENT_SECONDS = 300", "SILENT_SECONDS = 301", set()),
        ("benchmark/hardware.py", "RESTLESS = ", "RESTLESS = 2 * ", set()),
    ],
)
def test_a_change_reaches_just_what_rests_on_it(package, path, old, new, expected):
    assert changed(package, path, old, new) == expected


def test_a_plug_in_counts_with_every_byte(tmp_path, package):
    mine = tmp_path / "mine.py"
    mine.write_text("def norm_x(channels): ...\n")
    with_it, without = (fingerprint.numeric(["stages.train"], others) for others in ([mine], []))
    mine.write_text("def norm_x(channels): ...\n# a remark\n")
    assert len({with_it, without, fingerprint.numeric(["stages.train"], [mine])}) == 3


def modules():
    return {path.relative_to(fingerprint.PACKAGE).as_posix() for path in fingerprint.PACKAGE.rglob("*.py")}


def test_every_module_counts_or_is_silent():
    """A module that no numeric job reaches is named here, so that none which computes is forgotten."""
    numeric = set().union(*(fingerprint.closure(job.modules, fingerprint.is_silent) for job in NUMERIC.values()))
    silent = {path for path in modules() if fingerprint.is_silent(path)}
    assert not numeric & silent
    others = {path for path in modules() - numeric - silent if not path.startswith("summaries/")}
    # One makes densities, for figures; one describes the files of images; four start jobs and show a run.
    around = {"warm.py", "terminal.py", "slurm.py", "stages/ahead.py"}
    assert others == {"__main__.py", "flops.py", "analysis/spectral.py", "data/encodings.py", *around}
    assert {name.replace(".", "/") + ".py" for name in fingerprint.SILENT} <= modules()
    assert set(fingerprint.SILENT_ROOMS) <= {path.split("/")[0] for path in modules()}


def test_what_is_silent_cannot_compute():
    """Of the silent modules that numeric jobs import, one has torch: it saves what is there, and puts it back."""
    rooms = ("figures", "claims", "report", "docs_pages", "benchmark", "measurements")
    starts = ["stages.train", "stages.measure", "stages.matrices"]
    reached = fingerprint.closure(starts, lambda path: path.startswith(rooms))
    with_numbers = set()
    for path in filter(fingerprint.is_silent, reached):
        tree = ast.parse((fingerprint.PACKAGE / path).read_text())
        names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        if {name.split(".")[0] for name in names} & {"torch", "numpy", "scipy", "sklearn"}:
            with_numbers.add(path)
    assert with_numbers == {"training/checkpoint.py", "training/event_log.py"}


def test_no_number_rests_on_what_is_drawn_or_said():
    rooms = {"figures", "claims", "summaries", "report", "docs_pages", "benchmark"}
    for job in NUMERIC.values():
        assert not rooms & {path.split("/")[0] for path in fingerprint.closure(job.modules, lambda path: False)}
