"""How images are encoded, and what results and pages say where that is lossy."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from records import DATA, described, job

from understanding_bn import cli, files, record
from understanding_bn.data import encodings
from understanding_bn.docs_pages import images
from understanding_bn.errors import UserError
from understanding_bn.report import reference

LOSSY = DATA | {
    "dataset": "cifar10",
    "source": "CIFAR-10 from Parquet files (JPEG, lossy: train.parquet, test.parquet)",
}
LOSSY |= {"files": {"train.parquet": "1" * 64, "test.parquet": "2" * 64}, "channel_std": (0.25, 0.25, 0.5)}


def encoded(kind="JPEG", mode="RGB", **options):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("quality", [1, 49, 50, 75, 100])
def test_a_jpegs_quality_is_read_from_its_tables(quality, mode):
    formats, qualities = encodings.count([encoded(mode=mode, quality=quality)])
    assert (formats, qualities) == ({"JPEG": 1}, {quality: 1})


def test_tables_of_another_encoder_are_of_unknown_quality():
    assert encodings.count([encoded(qtables=[[7] * 64, [9] * 64])])[1] == {"unknown": 1}


def test_formats_are_counted_and_damaged_images_refused():
    assert encodings.count([encoded("PNG"), encoded("PNG"), encoded()])[0] == {"PNG": 2, "JPEG": 1}
    with pytest.raises(UserError, match="expected PNG or JPEG"):
        encodings.count([b"GIF89a"])


def test_two_files_are_described_with_their_checksums(tmp_path):
    for split, data in (("train", encoded(quality=75)), ("test", encoded("PNG"))):
        table = pd.DataFrame({"img": [{"bytes": data, "path": None}], "label": [0]})
        table.to_parquet(tmp_path / f"{split}.parquet")
    cli.main(["images", str(tmp_path), "--out", str(tmp_path / "said.json")])
    assert files.read_json(tmp_path / "said.json") == {
        "files": {name: files.sha256(tmp_path / name) for name in ("train.parquet", "test.parquet")},
        "formats": {"JPEG": 1, "PNG": 1},
        "jpeg_quality": {"75": 1},
    }


@pytest.mark.parametrize(
    ("source", "lossy"),
    [
        (LOSSY["source"], True),
        ("Parquet files (JPEG and PNG, lossy: train.parquet, test.parquet)", True),
        ("Parquet files (PNG: train.parquet, test.parquet)", False),
        ("CIFAR-10 (torchvision's files, loss-free)", False),
        ("scikit-learn digits (embedded)", False),
    ],
)
def test_a_jpeg_rendition_is_called_that(source, lossy):
    data = record.Data(**DATA | {"source": source})
    assert data.lossy == lossy
    assert data.in_words == source + ("; a JPEG rendition, not loss-free" if lossy else "")


@pytest.fixture
def kept(tmp_path):
    """A folder of records of which one rests on JPEG images."""
    for preset, data in (("cifar10-init", LOSSY), ("quick", DATA)):
        made = job()
        reference.write_provenance(tmp_path / preset, {made.folder: described(made, data=data)})
        (tmp_path / preset / "claims.json").write_text("[]")
    return tmp_path


def test_the_page_says_what_is_known_of_lossy_images_and_how(kept):
    rows = images.lossy_images(kept).splitlines()
    assert "| records | `cifar10-init` | their `provenance.json` |" in rows
    assert any(row.startswith("| encoding | JPEG, of a quality that is not recorded |") for row in rows)
    assert any("0.2500, 0.2500, 0.5000 | measured" in row for row in rows)
    assert "| effect on any result | not measured | – |" in rows
    assert "PSNR" not in "".join(rows), "it was stated of other files"
    description = {"files": LOSSY["files"], "formats": {"JPEG": 3, "PNG": 1}, "jpeg_quality": {"75": 2, "unknown": 1}}
    (kept / "images").mkdir()
    (kept / "images/a.json").write_text(json.dumps(description))
    assert "| encoding | 3 of 4 images are JPEG: 2 at quality 75, 1 at quality unknown |" in images.lossy_images(kept)


def test_where_no_record_is_lossy_the_page_says_so(kept):
    (kept / "cifar10-init/claims.json").unlink()
    assert images.lossy_images(kept) == "\nNo record rests on lossy images.\n"
