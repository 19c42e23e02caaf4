"""Names that mean something to a shell, to Snakemake or to a command line: nothing of them is ever run."""

import pytest
import yaml
from checkouts import Checkout, refused, write_parquet

HOSTILE = "my data; touch pwned1 $(touch pwned2) `touch pwned3` 'q' \"r\" $HOME & -rf *"


def assert_nothing_ran(*folders):
    """No file that a hostile name would have made is anywhere near."""
    found = [path for folder in folders for path in folder.rglob("pwned*")]
    assert not found


@pytest.mark.slow
def test_data_and_checkout_in_folders_with_hostile_names(tmp_path):
    checkout = Checkout(tmp_path / HOSTILE / "checkout")
    write_parquet(tmp_path / HOSTILE / HOSTILE)
    write_parquet(checkout.folder / "--out=pwned4; touch pwned5")
    for number, folder in enumerate([tmp_path / HOSTILE / HOSTILE, "--out=pwned4; touch pwned5"]):
        (checkout.folder / "config.yaml").write_text(
            yaml.safe_dump(
                yaml.safe_load((checkout.folder / "config.yaml").read_text())
                | {"dataset": "parquet", "data_dir": str(folder), "preset": f"mine-{number}"}
            )
        )
        done = checkout.run("data", "--forceall", tiny=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        (store,) = (checkout.folder / "results" / "data").glob("*/store-*.npz")
        assert store.stat().st_size > 10_000
        store.unlink()
    assert_nothing_ran(tmp_path)


def test_a_checkout_where_snakemake_cannot_work_says_so(tmp_path):
    checkout = Checkout(tmp_path / "a {x} b" / "checkout")
    assert "move the checkout" in refused(checkout, "--dry-run")


SHELL = "x; touch pwned $(touch pwned) `touch pwned`"


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("data_dir", "{x}", "'{x}' is not allowed"),
        ("data_dir", "~nobody-of-this-name", "'~nobody-of-this-name' is in the home of an unknown user"),
        ("preset", f"{SHELL}\n", f"{SHELL[:20]}"),
        ("initialization.measurements", {SHELL: {}}, f"key {SHELL!r} is unknown"),
    ],
)
def test_hostile_values_are_one_line_and_nothing_of_them_runs(checkout, key, value, shown):
    config = yaml.safe_load((checkout.folder / "config.yaml").read_text())
    if key == "data_dir":
        config["dataset"] = "parquet"
        write_parquet(checkout.folder / value)  # so that nothing but the name is wrong
    *above, last = key.split(".")
    (config[above[0]] if above else config)[last] = value
    (checkout.folder / "config.yaml").write_text(yaml.safe_dump(config))
    line = refused(checkout)
    assert f"{key}: " in line
    assert shown in line
    assert_nothing_ran(checkout.folder.parent)
