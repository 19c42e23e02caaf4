"""The description of a finished run for machines."""

import json

import pytest
from rocrate.rocrate import ROCrate

from understanding_bn.report import crate


@pytest.fixture
def described(tmp_path):
    """The entities that describe a run with a training job and one without data, {@id: entity}; and its folder."""
    folder = tmp_path / "mine"
    machine = {"commit": "c0ffee", "device": "cpu", "processor": "p", "versions": {"torch": "2", "python": "3"}}
    machine |= {"started": "2026-01-01T10:00:00+00:00", "wall_seconds": 90.5}
    runs = []
    for place, data in (("train/cell", {"source": "some images", "sha256": "abc"}), ("random_matrices", None)):
        (folder / place).mkdir(parents=True)
        (folder / place / "values.parquet").write_bytes(b"1")
        record = {"stage": place.split("/")[0], "seeds": [0, 1], "data": data, "outputs": {"values.parquet": "0"}}
        runs.append(folder / place / "run.json")
        runs[-1].write_text(json.dumps(machine | record))
    (folder / "figures").mkdir()
    for name in ("report.html", "claims.json", "later.json", "figures/a.png", "figures/a.csv", "figures/a_summary.csv"):
        (folder / name).write_text("x")
    claims = [folder / "claims.json", folder / "later.json"]
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
    action = entities["#train/cell"]
    assert action["@type"] == "CreateAction"
    assert action["endTime"] == "2026-01-01T10:01:30.500000+00:00"
    assert action["result"] == [{"@id": "train/cell/values.parquet"}]
    assert entities[action["instrument"]["@id"]]["version"] == "c0ffee"
    assert {"@id": "#data-abc"} in action["object"]
    assert entities["#data-abc"]["name"] == "some images"
    assert [part["@id"] for part in entities["#random_matrices"]["object"]] == ["random_matrices/run.json"]


def test_it_says_which_profile_it_keeps_and_can_be_read_back(described):
    entities, folder = described
    assert entities["./"]["conformsTo"] == {"@id": crate.PROFILE}
    read = ROCrate(folder)
    assert read.root_dataset["license"] in (crate.LICENCE, read.get(crate.LICENCE))
    assert len([entity for entity in read.get_entities() if entity.type == "CreateAction"]) == 2
