"""The description of a finished run for machines."""

import json

import pandas as pd
import pytest
from records import DATA, MACHINE, finished, job, training
from rocrate.rocrate import ROCrate

from understanding_bn.experiment.jobs import Matrices
from understanding_bn.report import crate

TRAIN = job((0, 1))


@pytest.fixture
def described(tmp_path):
    """The entities that describe a run with a training job and one without data, {@id: entity}; and its folder."""
    folder = tmp_path / "mine"
    data = DATA | {"source": "some images", "sha256": "abc"}
    rows = pd.DataFrame({"seed": [0, 1]})
    values = [
        finished(folder, TRAIN, rows, data, training=training((0, 1)), wall_seconds=90.5),
        finished(folder, Matrices(size=2, factors=(1,), draws=1), rows),
    ]
    runs = [path.parent / "run.json" for path in values]
    (folder / "figures").mkdir()
    for name in (
        "report.html",
        "claims.json",
        "followups.json",
        "figures/a.png",
        "figures/a.csv",
        "figures/a_summary.csv",
    ):
        (folder / name).write_text("x")
    claims = [folder / "claims.json", folder / "followups.json"]
    crate.run(folder / "report.html", claims, [folder / "figures/a.png"], runs)
    graph = json.loads((folder / crate.NAME).read_text())["@graph"]
    assert len({entity["@id"] for entity in graph}) == len(graph)
    return {entity["@id"]: entity for entity in graph}, folder


def test_every_file_of_the_run_is_described_and_lies_where_it_says(described):
    entities, folder = described
    found = {name for name, entity in entities.items() if entity["@type"] == "File"}
    everything = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == everything - {crate.NAME}
    assert {part["@id"] for part in entities["./"]["hasPart"]} == found
    assert entities["figures/a.csv"]["encodingFormat"] == "text/csv"


def test_every_job_is_an_action_with_its_software_its_data_and_its_results(described):
    entities, _ = described
    action = entities[f"#{TRAIN.folder}"]
    assert action["@type"] == "CreateAction"
    assert action["endTime"] == "2026-01-01T10:01:30.500000+00:00"
    assert action["result"] == [{"@id": f"{TRAIN.folder}/{name}"} for name in TRAIN.OUTPUTS]
    assert entities[action["instrument"]["@id"]]["version"] == MACHINE["commit"]
    assert {"@id": "#data-abc"} in action["object"]
    assert entities["#data-abc"]["name"] == "some images"
    assert [part["@id"] for part in entities["#random_matrices"]["object"]] == ["random_matrices/run.json"]


def test_it_says_which_profile_it_keeps_and_can_be_read_back(described):
    entities, folder = described
    assert entities["./"]["conformsTo"] == {"@id": crate.PROFILE}
    read = ROCrate(folder)
    assert read.root_dataset["license"] in (crate.LICENCE, read.get(crate.LICENCE))
    assert len([entity for entity in read.get_entities() if entity.type == "CreateAction"]) == 2
