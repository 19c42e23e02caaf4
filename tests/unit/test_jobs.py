"""Jobs as values: what each is told, where it leaves its results, and that kept records are of the same jobs."""

import json
import re
from collections import Counter

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from small_configs import GRADIENTS, JACOBIANS, START, config, entry
from strategies import valid_configs

from understanding_bn.cell import Cell, Network
from understanding_bn.docs_pages.records import PRESETS as PAGES
from understanding_bn.errors import UserError
from understanding_bn.experiment import load
from understanding_bn.experiment.config import Config
from understanding_bn.experiment.jobs import Draw, Matrices, Measure, Prepare, Train
from understanding_bn.experiment.load import resolve
from understanding_bn.experiment.plan import jobs, plan
from understanding_bn.report.parts import read_provenance
from understanding_bn.settings import canonical

PRESETS = [load.DEFAULT, *sorted(load.PRESETS.glob("*.yaml"))]
RECORDS = sorted(path.parent for path in (load.DEFAULT.parent / "results/reference").glob("*/config.json"))
REPEATABLE = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
REPEATABLE["phases"] = [Phase.generate]


def everything(planned):
    """Every job of a plan, each kind in turn."""
    return [planned.prepare, *planned.measured, *planned.items]


# Specs


def assert_specs_hold_the_jobs(planned):
    for job in everything(planned):
        assert "\n" not in job.spec
        again = type(job).model_validate_json(job.spec)
        assert again == job
        assert again.spec == job.spec
        if isinstance(job, Measure):
            assert type(again.options) is type(job.options)
            assert type(again.network) is (Cell if job.trained else Network)


def assert_folders_are_of_one_job(planned):
    groups = [planned.train, *planned.initial.values(), *planned.readings.values(), *planned.trained.values()]
    every = [job for group in groups for job in group] + [planned.matrices]
    by_folder = {job.folder: job for job in every}
    assert all(by_folder[job.folder] == job for job in every)
    assert len(planned.measured) == len({job.spec + job.rule for job in every}) == len(by_folder)
    assert {job.values for job in every} == {job.values for job in planned.measured}


def assert_rules_find_the_jobs(planned):
    """By the wildcards in their folders."""
    for job in planned.measured:
        seeds = "-".join(map(str, getattr(job, "seeds", ())))
        if isinstance(job, Train):
            factors = job.cell.factors | {"alpha": canonical(job.cell.alpha)}
            assert Train.PATTERN.format(**factors, seeds=seeds) == job.folder
        elif isinstance(job, Measure):
            network = job.network.model_dump()
            if job.trained:
                network["alpha"] = canonical(job.network.alpha)
            pattern = Measure.TRAINED if job.trained else Measure.INITIAL
            assert pattern.format(**network, seeds=seeds, measurement=job.measurement) == job.folder


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_jobs_of_every_preset_can_be_told_and_told_apart(path):
    planned = plan(resolve(load.load(path)))
    assert_specs_hold_the_jobs(planned)
    assert_folders_are_of_one_job(planned)
    assert_rules_find_the_jobs(planned)


def test_jobs_of_any_config_can_be_told_and_told_apart():
    seen = Counter()

    @settings(max_examples=80, **REPEATABLE)
    @given(valid_configs(small=True))
    def check(raw):
        planned = plan(resolve(raw))
        assert_specs_hold_the_jobs(planned)
        assert_folders_are_of_one_job(planned)
        assert_rules_find_the_jobs(planned)
        seen.update(type(job).__name__ for job in everything(planned))

    check()
    assert min(seen["Train"], seen["Measure"]) > 300
    assert set(seen) == {kind.__name__ for kind in (Prepare, Train, Measure, Matrices, Draw)}


def specs(config):
    """The specs of all jobs, by rule; those of figures by their names too."""
    by_rule: dict[str, set[str]] = {}
    for job in everything(plan(config)):
        by_rule.setdefault("draw" if isinstance(job, Draw) else job.rule, set()).add(job.spec)
    return by_rule


# Which jobs know of a key: those of no other rule change, and so run again, when it does.
NUMERIC = {"train", "initialization", "trained"}
KNOWN_TO = {
    "extends": ("paper", set()),
    "preset": ("another", set()),
    "dataset": ("cifar10", {"data"}),
    "data_dir": ("elsewhere", {"data"}),
    "channels": ("grey", {"data"}),
    "image_size": (4, {"data"}),
    "subset": ({"train": 1000}, {"data"}),
    "plugins": ([], {"train", "trained"}),  # one that has a norm of the grid
    "seeds": (3, NUMERIC),
    "seeds_per_job": (2, {"train", "trained"}),
    "lanes": (3, set()),
    "precision": ("bfloat16", {"train"}),
    "compiled": (True, {"train"}),
    "tensorboard": (True, set()),
    "augmentation": ({"flip": False, "pad": 3}, NUMERIC),
    "optimiser": ({"momentum": 0.5}, NUMERIC),
    "schedule": ({"milestones": [0.1]}, {"train"}),
    "snapshots": ([0.5, 0.75], {"train"}),
    "snapshot_losses": ([1.0], {"train"}),
    "evaluations": (2, {"train"}),
    "epochs_fraction": (0.5, {"train", "trained"}),
    "grid": ([entry(), entry(norm="mine", alpha=0.3)], {"train", "trained"}),
    "initialization": ({"arch": "resnet-14", "measurements": START}, {"initialization"}),
    "trained": ({"measurements": {"gradient_structure": GRADIENTS | {"minibatches": 3}}}, {"trained"}),
    "random_matrices": ({"draws": 3}, {"random_matrices"}),
}


@pytest.fixture
def with_a_plug_in(tmp_path):
    """A config in which every rule has a job, and one that has a norm of its own."""
    (tmp_path / "mine.py").write_text("def norm_mine(channels): ...\n")
    raw = config(entry(), start=START, snapshots=[0.5], trained={"gradient_structure": GRADIENTS}, seeds=2)
    raw = raw.model_dump(mode="json") | {"plugins": [str(tmp_path / "mine.py")]}
    return raw | {"grid": [entry(), entry(norm="mine")]}


@pytest.mark.parametrize("key", Config.model_fields)
def test_a_job_knows_of_few_keys(key, with_a_plug_in):
    value, told = KNOWN_TO[key]
    changes = {key: value} | ({"grid": [entry()]} if key == "plugins" else {})
    own = with_a_plug_in | ({"dataset": "folder", "data_dir": "images"} if key == "channels" else {})
    before = specs(resolve(own))
    after = specs(resolve(own | changes))
    assert set(before) == set(after) == {"data", *NUMERIC, "random_matrices", "draw"}
    assert {rule for rule in before if before[rule] != after[rule]} == told


def test_a_cell_does_not_know_of_the_others():
    few, many = config(entry()), config(entry(), entry(norm="layer", alpha=[0.1, 0.2]), entry(arch="resnet-14"))
    assert specs(few)["train"] < specs(many)["train"]


def test_a_job_gets_the_plug_ins_that_it_needs_and_no_others(tmp_path):
    norm, init = tmp_path / "norm.py", tmp_path / "init.py"
    norm.write_text("def norm_mine(channels): ...\n")
    init.write_text("def init_tenth(model, generator): ...\n")
    networks = {"archs": ["plain-8"], "inits": ["fixup", "tenth"]}
    planned = plan(
        config(
            entry(),
            entry(norm="mine"),
            entry(init="tenth"),
            entry(norm="mine", init="tenth"),
            plugins=[str(norm), str(init)],
            start={"logit_gradients": {}, "jacobian_conditioning": JACOBIANS | {"networks": networks}},
            trained={"gradient_structure": GRADIENTS},
        )
    )
    needed = [(), (str(norm),), (str(init),), (str(norm), str(init))]
    assert [job.plugins for job in planned.train] == needed
    assert [job.plugins for job in planned.trained["gradient_structure"]] == needed
    assert {job.plugins for job in planned.initial["logit_gradients"]} == {()}
    assert {job.plugins for job in planned.initial["jacobian_conditioning"]} == {(str(init),)}  # crosses it itself


def test_a_spec_of_an_unknown_measurement_or_with_wrong_options_is_refused():
    job = plan(config(start={"logit_gradients": {}})).initial["logit_gradients"][0]
    told = json.loads(job.spec)
    with pytest.raises(ValueError, match="'logits' is no measurement; expected one of gradient_histogram"):
        Measure.model_validate(told | {"measurement": "logits"})
    with pytest.raises(ValueError, match="layer"):
        Measure.model_validate(told | {"options": {"layer": 3}})
    with pytest.raises(ValueError, match="seeds"):
        Measure.model_validate(told | {"seeds": []})


def test_a_spec_names_its_layers_even_where_nobody_did():
    job = plan(config(start={"channel_moments": {}})).initial["channel_moments"][0]
    assert json.loads(job.spec)["options"] == {"layers": [2, 4, 6, 8]}
    assert Measure.model_validate(json.loads(job.spec) | {"options": {}}) == job


# Kept records


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_a_kept_record_has_jobs_of_its_config(record):
    kept = read_provenance(record)
    planned = {job.folder: job for job in jobs(resolve(json.loads((record / "config.json").read_text())))}
    assert {place: run.job for place, run in kept.items()} == {place: planned[place] for place in kept}
    assert all(run.stage == planned[place].rule for place, run in kept.items())
    counts = json.loads((record / "provenance.json").read_text())
    assert counts.get("planned", len(planned)) == len(planned)  # of a long grid a record may have a part


def test_every_record_is_of_a_preset_that_pages_know():
    names = {record.name for record in RECORDS}
    assert names <= {*PAGES}
    assert {"quick", "cifar10-init", "cifar10-small", "cifar10-depth", "open-questions"} <= names


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_a_record_names_no_folder_of_the_machine_it_was_made_on(record):
    for path in record.glob("*.json"):
        assert not re.search(r'"/\w', path.read_text()), path


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_a_kept_record_is_of_the_preset_as_it_is(record):
    preset = load.DEFAULT if record.name == "quick" else load.PRESETS / f"{record.name}.yaml"
    assert resolve(json.loads((record / "config.json").read_text())) == resolve(load.load(preset))


def test_a_plan_of_a_plug_in_that_is_gone_is_refused():
    with pytest.raises(UserError, match=r"config key plugins\[0\]: .*can't be read"):
        config(entry(norm="mine"), plugins="gone/mine.py")


def test_a_config_file_says_all_that_a_plan_needs(tmp_path):
    """What a run writes to config.json plans the same jobs when a record is made of it."""
    for path in PRESETS:
        first = resolve(load.load(path))
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(json.loads(first.model_dump_json())))
        assert plan(resolve(yaml.safe_load((tmp_path / "config.yaml").read_text()))) == plan(first)
