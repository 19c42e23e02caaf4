"""run.json: written, read back, and refused where it is another version's."""

import json

import pandas as pd
import pytest
from records import DATA, finished, job, training

from understanding_bn import files, record
from understanding_bn.cell import Network
from understanding_bn.errors import UserError
from understanding_bn.experiment.jobs import Matrices, Measure
from understanding_bn.measurements.gradient_structure import GradientStructure
from understanding_bn.measurements.logit_gradients import LogitGradients
from understanding_bn.measurements.max_learning_rate import MaxLearningRate

SEARCH = {"batch_size": 8, "updates": 2, "steps_per_decade": 1, "smallest_alpha": 0.1, "largest_alpha": 1.0}


def measure(name, options, trained=False):
    cell = job().cell
    network = cell if trained else Network(**{factor: getattr(cell, factor) for factor in Network.model_fields})
    shared = {"optimiser": job().optimiser, "augmentation": job().augmentation}
    return Measure(measurement=name, network=network, options=options, seeds=(0, 3), **shared)


JOBS = [
    job((2, 5), alpha=0.003),
    measure("logit_gradients", LogitGradients()),
    measure("max_learning_rate", MaxLearningRate(**SEARCH)),
    measure("gradient_structure", GradientStructure(at=[0, 1], minibatches=2), trained=True),
    Matrices(size=3, factors=(1, 2), draws=2),
]


def written(tmp_path, made, **more):
    """What is read back from the run.json of a job."""
    path = finished(tmp_path, made, pd.DataFrame({"seed": [0]}), **more)
    return record.read(path.parent / "run.json")


@pytest.mark.parametrize("made", JOBS, ids=lambda made: made.folder.split("/alpha")[0])
def test_a_record_is_read_back_as_it_was_written(tmp_path, made):
    more = {} if isinstance(made, Matrices) else {"data": DATA, "bn_mode": "train"}
    if made.rule == "train":
        more |= {"training": training(made.seeds, ("overflow", None))}
    run = written(tmp_path, made, **more)
    assert run.job == made
    assert type(getattr(run.job, "options", None)) is type(getattr(made, "options", None))
    assert (run.stage, run.place, run.code_fingerprint) == (made.rule, made.folder, made.code)
    assert run.seeds == getattr(made, "seeds", ())
    assert run.data == (record.Data(**DATA) if more else None)
    assert run.training == more.get("training")
    assert run.outputs == {name: files.sha256(tmp_path / made.folder / name) for name in made.OUTPUTS}
    assert record.parse(run.model_dump(mode="json"), "x") == run


def test_the_network_of_a_record_is_a_cell_where_it_was_trained(tmp_path):
    initial, trained = (written(tmp_path, JOBS[position], data=DATA) for position in (1, 3))
    assert (initial.job.trained, trained.job.trained) == (False, True)
    assert (initial.stage, trained.stage) == ("initialization", "trained")


def test_a_record_names_plug_ins_by_checksum_and_without_their_folder(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def norm_x(channels): ...\n")
    results = tmp_path / "results"
    run = written(results, job().model_copy(update={"plugins": (str(path),)}), data=DATA)
    assert run.plugins == {"mine.py": files.sha256(path)}


def older(content):
    """As versions before typed records wrote it."""
    return {"stage": "train", "settings": {"alpha": "0.1"}, "seeds": [0], "wall_seconds": 1.0}


def of_no_measurement(content):
    return content | {"job": content["job"] | {"measurement": "volume"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (older, "not a record that this version reads"),
        (of_no_measurement, "not a record that this version reads"),
        (lambda content: content | {"stage": "baking"}, r"not a record that this version reads \(stage: "),
        (lambda content: content | {"more": 1}, r"not a record that this version reads \(more: "),
        (lambda content: [content], "not a record that this version reads"),
        (lambda content: None, "not a record that this version reads"),
    ],
)
def test_a_record_of_another_version_is_one_line(tmp_path, change, message):
    path = tmp_path / JOBS[1].folder / "run.json"
    written(tmp_path, JOBS[1], data=DATA)
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(UserError, match=message) as caught:
        record.read(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and text.endswith("remove its folder and run again")
    assert text.isprintable()


def test_a_record_that_is_missing_or_no_json_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file; run the job that makes it first") as caught:
        record.read(tmp_path / "run.json")
    assert str(caught.value).isprintable()
    (tmp_path / "run.json").write_text('{"stage": "tra')
    with pytest.raises(UserError, match="not valid JSON") as caught:
        record.read(tmp_path / "run.json")
    assert str(caught.value).isprintable()
