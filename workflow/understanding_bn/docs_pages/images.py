"""What docs/results.md says of images in a lossy format, from the records and the files in results/reference/images.

`python -m understanding_bn images` writes those files.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from understanding_bn import files, paper
from understanding_bn.docs_pages import markdown, records
from understanding_bn.record import Data

# What a note says that came with the files, by the SHA-256 of train.parquet. To measure it takes the originals.
STATED = "median 30 dB, 5th percentile 27 dB, over 200 images"
PSNR = {"e85305aac0daaad1ed3c83830e3e2d132ead5ddd0346eef8f72e58a468268acd": STATED}
# Well known, and of the loss-free training images: standard deviation of red, green and blue, on the scale [0, 1].
CIFAR10_STD = paper.recalled((0.2470, 0.2435, 0.2616))


def lossy_images(reference: Path) -> str:
    """A table for each set of lossy files: which records rest on it, how it is encoded, and what that changed."""
    groups: dict[tuple[str, ...], list[str]] = {}
    data: dict[tuple[str, ...], Data] = {}
    for preset in records.kept(reference):
        found = next((each for _, each in records.read(reference / preset).with_data if each.lossy), None)
        if found is not None:
            groups.setdefault(tuple(found.files.values()), []).append(preset)
            data.setdefault(tuple(found.files.values()), found)
    if not groups:
        return "\nNo record rests on lossy images.\n"
    return "\n".join(_facts(reference, data[key], presets) for key, presets in groups.items())


def _facts(reference: Path, data: Data, presets: list[str]) -> str:
    """What is known about one set of files."""
    spread = ", ".join(f"{value:.4f}" for value in data.channel_std)
    loss_free = ", ".join(f"{value:.4f}" for value in CIFAR10_STD.value)
    rows = [
        ("records", ", ".join(records.named(reference, preset) for preset in presets), "their `provenance.json`"),
        *((name, f"SHA-256 `{checksum[:16]}…`", "their `provenance.json`") for name, checksum in data.files.items()),
        ("encoding", _encoding(reference, data), "the quantisation tables in the files"),
    ]
    if stated := PSNR.get(data.files.get("train.parquet", "")):
        rows.append(("PSNR against the originals", stated, "stated with the files, not measured here"))
    if data.dataset == "cifar10":
        rows += [
            ("standard deviation of red, green, blue", spread, "measured on the training images"),
            ("the same of the originals", loss_free, CIFAR10_STD.origin.value),
        ]
    rows.append(("effect on any result", "not measured", markdown.DASH))
    return markdown.table(pd.DataFrame(rows, columns=["what", "value", "how we know"]))


def _encoding(reference: Path, data: Data) -> str:
    """How the files are encoded, by the description of them that is kept, if there is one."""
    described = (files.read_json(path) for path in sorted((reference / "images").glob("*.json")))
    facts: dict[str, Any] | None = next((each for each in described if each["files"] == data.files), None)
    if facts is None:
        return "JPEG, of a quality that is not recorded"
    qualities = [f"{number:,} at quality {quality}" for quality, number in facts["jpeg_quality"].items()]
    return f"{facts['formats']['JPEG']:,} of {sum(facts['formats'].values()):,} images are JPEG: {', '.join(qualities)}"
