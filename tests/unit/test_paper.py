"""Where the paper's numbers may be compared with ours, and that none of them is without its origin."""

import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from docutils.core import publish_string

from understanding_bn import paper
from understanding_bn.claims import judging
from understanding_bn.claims.catalogue import BY_ID, CLAIMS, FOLLOWUPS
from understanding_bn.paper import Origin, Published

ROOT = Path(__file__).resolve().parent.parent.parent
ORIGIN = "|".join(Origin)
CAPTIONS = sorted((ROOT / "workflow/report").glob("*.rst"))
OURS = ("3.0e3", "2.5e5", "4.2e7", "9.4e10")  # condition numbers that we computed, no source


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"dataset_tag": "cifar10"}, True),
        ({"train_images": None}, True),
        ({"dataset_tag": "cifar10-0123abcd-train10000"}, False),
        ({"dataset_tag": "cifar10-0123abcd-test4000"}, False),
        ({"dataset_tag": "cifar100"}, False),
        ({"dataset_tag": "digits"}, False),
        ({"train_images": 10_000}, False),
        ({"arch": "resnet-20"}, False),
        ({"arch": "resnet-padded-110"}, False),
        ({"batch_size": 64}, False),
    ],
)
def test_the_scale_is_the_whole_data_the_network_and_the_batch_size(changes, expected):
    settings = {"dataset_tag": "cifar10-0123abcd", "train_images": 50_000, "arch": "resnet-110", "batch_size": 128}
    assert paper.is_scale(**settings | changes) is expected


def test_one_row_of_another_scale_is_enough_to_leave_it():
    rows = pd.DataFrame({"dataset": "cifar10", "arch": "resnet-110", "batch_size": [128, 128]})
    assert paper.is_scale_of(rows)
    assert not paper.is_scale_of(rows.assign(batch_size=[128, 64]))
    assert not paper.is_scale_of(rows.assign(arch=["resnet-110", "resnet-20"]))


NO_RESULTS = {"DATASET", "TRAIN_IMAGES", "ARCH", "BATCH_SIZE", "CURVES", "MOMENT_LAYERS"}  # keys and places


def bare(value):
    """What is in a table of the paper without an origin; keys and what is missing need none."""
    if isinstance(value, Published):
        return [] if isinstance(value.origin, Origin) else [value]
    if isinstance(value, dict):
        return [found for part in value.values() for found in bare(part)]
    if isinstance(value, tuple):
        return [found for part in value for found in bare(part)]
    return [] if value is None else [value]


def test_no_table_of_the_paper_is_without_origin():
    tables = {name: value for name, value in vars(paper).items() if name.isupper() and len(name) > 1}
    named = tables.pop("RESNET_110")
    assert set(tables) >= NO_RESULTS | {"FINAL_TEST_ACCURACY", "CONDITIONS", "GRADIENT_SUM_RATIO"}
    assert not [name for name in tables.keys() - NO_RESULTS if bare(tables[name])]
    assert [bare(row) for row in named] == [[row[0]] for row in named], "whose it is comes first"
    assert paper.accuracy_curves().origin is Origin.DIGITISED


def test_what_memory_is_unsure_of_says_so():
    assert paper.GRADIENT_SUM_RATIO.origin is Origin.SHAKY
    assert paper.CONDITIONS["weight decay"].origin is Origin.SHAKY
    assert paper.origin(BY_ID[13].paper) == "shaky"


def test_no_claim_is_without_origin_and_none_has_our_numbers():
    for claim in (*CLAIMS, *FOLLOWUPS):
        assert bare(claim.paper) == []
        assert paper.text(claim.paper)
        assert not [number for number in OURS if number in paper.text(claim.paper)]
        parts = claim.paper if isinstance(claim.paper, tuple) else (claim.paper,)
        assert paper.shown(claim.paper).count("(") >= len(parts)
        assert all(f"{part.value} ({part.origin})" in paper.shown(claim.paper) for part in parts)


def test_several_origins_are_named_in_order_and_once():
    said = (paper.recalled("a"), paper.shaky("b"), paper.recalled("c"))
    assert paper.text(said) == "a; b; c"
    assert paper.origin(said) == "recalled; shaky"
    assert paper.shown(said) == "a (recalled); b (shaky); c (recalled)"


def test_judged_claims_have_the_origin_beside_the_text(tmp_path):
    judging.run({}, tmp_path / "claims.json", tmp_path / "followups.json")
    entries = [entry for path in tmp_path.glob("*.json") for entry in json.loads(path.read_text())]
    assert {entry["id"] for entry in entries} == set(BY_ID)
    for entry in entries:
        said = BY_ID[entry["id"]].paper
        assert (entry["paper"], entry["paper_origin"]) == (paper.text(said), paper.origin(said))
        assert re.fullmatch(rf"({ORIGIN})(; ({ORIGIN}))*", entry["paper_origin"])


@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: path.stem)
def test_captions_say_how_we_know_what_the_paper_saw(path):
    caption = path.read_text()
    seen = [part for part in caption.split("\n\n") if part.startswith("The paper saw")]
    assert all(re.search(ORIGIN, part) for part in seen)
    assert bool(seen) == (path.stem not in ("claims", "followups"))
    assert not [number for number in OURS if number in caption]


@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: path.stem)
def test_captions_are_sound_where_snakemake_reads_them_as_restructured_text(path):
    """`snakemake --report` builds them; a |word| between bars would be a substitution that nobody defined."""
    strict = {"halt_level": 2, "report_level": 2, "warning_stream": io.StringIO()}
    publish_string(path.read_text(), writer="html", settings_overrides=strict)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name
)
def test_pages_name_no_number_of_the_paper_without_its_origin(page):
    text = re.sub(r"<!--.*?-->", "", page.read_text(), flags=re.DOTALL)
    prose = " ".join(line.strip() for line in text.splitlines() if not line.startswith(("|", "The paper: ")))
    named = re.findall(
        r"[Tt]he paper(?:'s Table 1)?(?::| shows| has| gives| says)? (?:at least )?[−≥]?\d.{0,30}", prose
    )
    assert all(re.search(ORIGIN, number) for number in named), named
    if page.name in ("README.md", "paper-scale.md"):
        assert len(named) >= 3
    rows = [line for line in text.splitlines() if re.match(r"\| .*\| paper\b", line)]
    assert all(re.search(rf"\| paper \(({ORIGIN})\) \|", row) for row in rows if "| paper |" not in row)
    said = re.findall(r"^The paper: (.*?)\. Figure", text, re.MULTILINE)
    assert all(re.search(rf"\(({ORIGIN})\)$", each) for each in said)
    assert len(said) == (len(CLAIMS) if page.name == "results.md" else 0)


# The paper's numbers as its figures show them.


def test_curves_are_whole_and_end_where_the_final_accuracies_are():
    curves = paper.accuracy_curves().value
    assert list(curves.columns) == ["split", "norm", "alpha", "percent", "accuracy"]
    assert curves.drop(columns=["split", "norm"]).dtypes.map(pd.api.types.is_numeric_dtype).all()
    keys = {("batch", 0.1), ("batch", 0.003), ("batch", 0.0001), ("none", 0.0001)}
    assert set(curves[["split", "norm", "alpha"]].itertuples(index=False, name=None)) == {
        (split, *key) for split in ("train", "test") for key in keys
    }
    assert curves["percent"].between(0, 100).all() and curves["accuracy"].between(0, 100).all()
    assert all(curve["percent"].is_monotonic_increasing for _, curve in curves.groupby(["split", "norm", "alpha"]))
    ends = curves[(curves["split"] == "test") & (curves["percent"] == 100)].set_index(["norm", "alpha"])["accuracy"]
    for key in keys:
        assert ends[key] == pytest.approx(100 * paper.FINAL_TEST_ACCURACY[key].value, abs=0.3)


def test_claims_numbers_follow_from_the_tables():
    accuracy = {key: 100 * share.value for key, share in paper.FINAL_TEST_ACCURACY.items()}
    assert f"{accuracy['batch', 0.1] - accuracy['batch', 0.0001]:.1f} points" == paper.text(BY_ID[1].paper)
    assert f"{accuracy['none', 0.0001] - accuracy['batch', 0.0001]:.1f} points" == paper.text(BY_ID[2].paper)
    crossings = paper.RELATIVE_LOSS_CROSSINGS.value
    ratio = crossings["batch", 1][1] / crossings["none", 1][1]
    assert f"{ratio:.0f}×; {crossings['none', 1][1e3]:g}; 3.0" == paper.text(BY_ID[8].paper)
    log_std = paper.CHANNEL_MOMENTS.value
    rise = log_std["none", "log_std"][8] - log_std["none", "log_std"][0]
    low, high = min(log_std["batch", "log_std"][:9]), max(log_std["batch", "log_std"][:9])
    assert f"{rise:.2f}; {low:.2f} to {high:.2f}" == paper.text(BY_ID[11].paper)
    assert {len(values) for values in log_std.values()} == {len(paper.MOMENT_LAYERS)}
