"""The project's own files: pins that agree, commands that exist, nothing that must not be said."""

import ast
import importlib.util
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from understanding_bn import cli
from understanding_bn.experiment import plan
from understanding_bn.experiment.jobs import Draw

ROOT = Path(__file__).resolve().parent.parent


def load_lock_module():
    spec = importlib.util.spec_from_file_location("lock", ROOT / "envs" / "lock.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LOCK = load_lock_module()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED = LOCK.pins((ROOT / "requirements.lock").read_text())


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_constraints_and_requirements_lock_pin_the_same():
    listed = PROJECT["tool"]["uv"]["constraint-dependencies"]
    constraints = [re.fullmatch(r"(\S+)==(\S+)(?: ; (.+))?", line) for line in listed]
    assert sorted((m[1], m[2], m[3] or "") for m in constraints) == sorted(LOCKED)
    assert len(LOCKED) > 50


def test_every_dependency_is_pinned_and_hashed():
    text = (ROOT / "requirements.lock").read_text()
    wanted = PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]
    pinned = {normal(name) for name, _, _ in LOCKED}
    assert {normal(re.split(r"[<>=]", d)[0]) for d in wanted} <= pinned
    entries = re.split(r"\n(?=\S)", text)
    packages = [entry for entry in entries if "==" in entry.splitlines()[0] and not entry.startswith("#")]
    assert len(packages) == len(LOCKED)
    assert all("--hash=sha256:" in entry for entry in packages)


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda p: p.name)
def test_conda_environments_have_the_same_pins(path):
    environment = yaml.safe_load(path.read_text())
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    # Python 3.12 in conda: of a package that is pinned twice, the one without an upper limit.
    versions = {normal(n): v for n, v, marker in LOCKED if "python_full_version < '3.12'" not in marker}
    found = dict(line.split("==") for line in pip)
    assert found == {name: versions[normal(name)] for name in found}
    needed = {normal(re.split(r"[<>=]", d)[0]) for d in PROJECT["project"]["dependencies"]}
    only_for_snakemake = {"snakemake", "snakemake-executor-plugin-slurm", "pygments"}
    assert {normal(name) for name in found} == needed - only_for_snakemake


def tracked():
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def test_no_lock_file_with_addresses_is_tracked():
    assert not [path for path in tracked() if path.name == "uv.lock"]
    assert "://" not in (ROOT / "requirements.lock").read_text()
    assert "://" not in (ROOT / "pyproject.toml").read_text()


def imported(path):
    """The top packages that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


def test_the_package_never_imports_snakemake():
    package = ROOT / "workflow" / "understanding_bn"
    assert "torch" in imported(package / "training" / "loop.py")
    assert not [path for path in package.rglob("*.py") if "snakemake" in imported(path)]


def package_commands():
    """Every command of the package that a page or a preset names."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "workflow/presets").glob("*.yaml")]
    found = {c for page in pages for c in re.findall(r"python -m understanding_bn ([a-z][^`\n]*)", page.read_text())}
    return sorted({command.split("#")[0].strip().rstrip(".") for command in found})


@pytest.mark.parametrize("command", package_commands())
def test_commands_of_the_package_are_understood(command):
    args = cli.parser().parse_args(command.split())
    assert callable(args.run)
    if command.split()[0] in ("status", "verify", "missing"):
        assert (getattr(args, "record", None) or args.preset) in {
            "quick",
            *(path.stem for path in (ROOT / "workflow/presets").glob("*.yaml")),
        }
    elif getattr(args, "preset", None):
        assert (ROOT / args.preset).is_file()


def make_commands():
    """Every command that begins with make on the README and the pages."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    blocks = [block for page in pages for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.S)]
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    inline = [text for page in pages for text in re.findall(r"`(make[^`\n]*)`", page.read_text())]
    return sorted({line for line in lines + inline if line.split()[:1] == ["make"]})


@pytest.mark.parametrize("command", make_commands())
def test_commands_of_make_name_targets_and_presets_that_exist(command):
    names = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M)) | {"reference"}
    drawn = [Draw(name=name, kind="figures") for name in (*plan.FIGURES, *plan.TABLES)]
    names |= {name for draw in drawn for name in (draw.name, draw.short)}
    for word in shlex.split(command)[1:]:
        variable, _, value = word.partition("=")
        if variable == "PRESET":
            assert value.endswith(".yaml") or (ROOT / f"workflow/presets/{value}.yaml").is_file()
        elif variable not in ("ARGS", "CORES", "PRESETS", "RUNS"):
            assert word in names, f"{command}: no target {word}"


def test_make_help_lists_the_targets():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = [line.split()[0] for line in done.stdout.splitlines()]
    assert {"all", "verify", "test", "lint", "lock", "help"} <= set(listed)


def test_every_figure_and_table_of_the_plan_has_a_module_and_a_caption():
    names = {*plan.FIGURES, *plan.TABLES}
    assert len(names) > 14
    for name in names:
        caption = (ROOT / f"workflow/report/{name}.rst").read_text()
        assert "The paper saw" in caption
    shared = {"drawing", "style", "keys", "numbers", "titles", "nothing"}
    helpers = shared | {"accuracy_by_alpha", "accuracy_ends", "paper_curves"}
    modules = {path.stem for path in (ROOT / "workflow/understanding_bn/figures").glob("*.py")}
    assert modules - helpers == names


def test_every_row_of_the_table_of_faults_has_its_test():
    rows = [line for line in (ROOT / "docs/faults.md").read_text().splitlines() if line.startswith("| ")][1:]
    sources = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    file, named = "test_faults.py", 0
    for row in rows:
        cell = row.rsplit(" | ", 1)[1]
        file = "test_faults.py" if "::" not in cell else file
        assert re.findall(r"test_\w+", cell) or cell.startswith("the same"), row
        for path, test in re.findall(r"`(?:unit/)?(?:(test_\w+\.py|…)(?:::)?)?(test_\w+)?`", cell):
            file = path if path and path != "…" else file if path else "test_faults.py"
            assert file in sources, row
            assert f"def {test}(" in sources[file] if test else True, row
            named += 1
    assert named >= len(rows)


def test_the_files_by_which_others_find_and_cite_this_agree_with_it():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation["references"][0]["title"] == "Understanding Batch Normalization"
    check = yaml.safe_load((ROOT / "codecheck.yml").read_text())
    assert check["version"].startswith("https://codecheck.org.uk/spec/config/")
    assert check["manifest"]
    for entry in check["manifest"]:
        assert entry["comment"]
        assert (ROOT / entry["file"]).is_file(), entry["file"]
    catalog = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    assert catalog["software-stack-deployment"]["conda"] == ("conda:" in rules)
    assert catalog["report"] == ("report(" in rules)
