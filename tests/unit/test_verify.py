"""A run compared with its record: the same, or what differs."""

import numpy as np
import pandas as pd
import pytest
from records import DATA, described

from understanding_bn import cli, files
from understanding_bn.experiment import load, plan
from understanding_bn.report import reference
from understanding_bn.report.parts import read_provenance
from understanding_bn.report.verify.nearness import RELATIVE, SPREADS, Near, compare

SMALL = {"preset": "mine", "augmentation": {"flip": False}, "initialization": {"measurements": {}}, "seeds": 3}
SMALL |= {"grid": [{"arch": "resnet-8", "norm": ["batch", "none"], "alpha": 0.1, "epochs": 1}]}
CHECK = {"name": "a slope", "relation": "≤", "bound": 2, "measured": 1.0, "interval": [0.5, 1.5]}
CLAIM = {"id": 5, "verdict": "reproduced", "direction": "as claimed", "checks": [CHECK]}
ACCURACY = [
    {"norm": norm, "alpha": 0.1, "seed": seed, "epoch": epoch, "accuracy": 0.5 + 0.1 * epoch + 0.01 * seed}
    for norm in ("batch", "none")
    for seed in (0, 1, 2)
    for epoch in (0, 1, 2)
]


def write(folder, config, data=DATA, outputs="0", code="0" * 12):
    """The files of a finished preset that a comparison reads; returns the record of every job."""
    more = {"code_fingerprint": code, "outputs": {"values.parquet": outputs * 64}}
    runs = {job.folder: described(job, data=data if job.rule == "train" else None, **more) for job in plan.jobs(config)}
    for place, run in runs.items():
        files.write_text(folder / place / "run.json", run.model_dump_json())
    files.write_text(folder / "config.json", config.model_dump_json())
    files.write_json(folder / "claims.json", [CLAIM])
    files.write_json(folder / "followups.json", [])
    (folder / "figures").mkdir(exist_ok=True)
    pd.DataFrame(ACCURACY).to_csv(folder / "figures/fig1_accuracy.csv", index=False)
    return runs


@pytest.fixture
def run(tmp_path):
    """A run with the numbers of its record, from files that are not the same to the byte."""
    for folder, outputs in ((tmp_path / "results/mine", "1"), (tmp_path / "reference/mine", "0")):
        runs = write(folder, load.resolve(SMALL), outputs=outputs)
        reference.write_provenance(folder, runs)
    return tmp_path / "results/mine"


@pytest.fixture
def verify(tmp_path, capsys):
    """Runs the command; returns its exit status and what it says, on stdout or in its one line on stderr."""

    def command(*arguments):
        places = ["--results", tmp_path / "results", "--reference", tmp_path / "reference"]
        with pytest.raises(SystemExit) as ended:
            cli.main(["verify", "mine", *map(str, (*places, *arguments))])
        said = capsys.readouterr()
        if ended.value.code == 2:
            assert not said.out and said.err.startswith("error: ") and said.err.count("\n") == 1
        return ended.value.code, said.err or said.out

    return command


def change(path, **values):
    """Change a column of a CSV file: each value is that of the last row, or a function of the column."""
    table = pd.read_csv(path)
    for column, value in values.items():
        if callable(value):
            table[column] = value(table[column])
        else:
            table[column] = table[column].astype(object)
            table.loc[len(table) - 1, column] = value
    table.to_csv(path, index=False)


def last(said):
    return said.splitlines()[-1]


def test_an_equal_run_is_the_same_to_the_bit(run, verify):
    status, said = verify()
    assert status == 0
    assert last(said) == "The same: 1 of 1 verdicts; of 18 values 18 identical."
    assert "7 jobs 7 ran by the same code; 0 left the same files" in said


def test_a_part_of_a_record_is_not_verified(run, verify, tmp_path):
    kept = tmp_path / "reference/mine"
    runs = dict([*read_provenance(kept).items()][:3])
    reference.write_provenance(kept, runs, planned=7)
    status, said = verify()
    assert status == 2 and "mine: holds 3 of 7 jobs; only a whole record can be compared with" in said


def test_rounding_and_what_another_seed_could_do_are_near(run, verify):
    path = run / "figures/fig1_accuracy.csv"
    change(path, accuracy=lambda column: column * (1 + RELATIVE / 2))
    status, said = verify()
    assert status == 0 and "18 within 0.1 %" in last(said)
    change(path, accuracy=ACCURACY[-1]["accuracy"] - 0.04)  # seeds are 0.01 apart
    status, said = verify()
    assert status == 0 and "1 within 5 sd over seeds" in last(said)


def test_what_follows_from_the_very_same_files_has_no_spread(run, verify):
    write(run, load.resolve(SMALL))
    change(run / "figures/fig1_accuracy.csv", accuracy=ACCURACY[-1]["accuracy"] - 0.04)
    status, said = verify()
    assert status == 1 and "ran by the same code; 7 left the same files" in said
    write(run, load.resolve(SMALL))
    files.write_json(run / "claims.json", [CLAIM | {"checks": [CHECK | {"measured": 1.4}]}])
    assert verify()[0] == 1


@pytest.mark.parametrize("value", [0.5, "inf", ""])
def test_one_number_beyond_both_differs_and_is_named(run, verify, value):
    change(run / "figures/fig1_accuracy.csv", accuracy=value)
    status, said = verify()
    assert status == 1
    assert last(said) == "Differs: tables fig1_accuracy. Of 18 values 17 identical, 1 different."
    assert "\n  accuracy: 17 identical, 1 different; at most " in said


def test_a_verdict_that_changed_differs_and_is_named(run, verify):
    files.write_json(run / "claims.json", [CLAIM | {"verdict": "inconclusive", "direction": ""}])
    status, said = verify()
    assert status == 1
    assert "claim 5: verdict reproduced → inconclusive; direction as claimed → none" in said
    assert last(said).startswith("Differs: claims 5.")


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        ({"measured": 1.4, "interval": [0.9, 1.9]}, 0, "within the record's intervals"),
        ({"measured": 1.6, "interval": [1.1, 2.1]}, 1, "claim 5: a slope: 1 [0.5, 1.5] → 1.6 [1.1, 2.1]"),
        ({"measured": None, "interval": None}, 1, "claim 5: a slope: 1 [0.5, 1.5] → not finite"),
        ({"bound": 3}, 1, "claim 5: what is checked is not the same"),
    ],
)
def test_a_claims_value_may_lie_anywhere_in_the_records_interval(run, verify, found, status, words):
    files.write_json(run / "claims.json", [CLAIM | {"checks": [CHECK | found]}])
    ended, said = verify()
    assert ended == status and words in said


def test_claims_that_one_side_lacks_are_named(run, verify):
    files.write_json(run / "followups.json", [CLAIM | {"id": "L1"}])
    assert "claim L1: only in the run" in verify()[1]


def test_a_missing_figure_and_missing_rows_differ(run, verify):
    path = run / "figures/fig1_accuracy.csv"
    pd.DataFrame(ACCURACY[:-2]).to_csv(path, index=False)
    status, said = verify()
    assert status == 1 and "rows only in the record: 2, only in the run: 0" in said
    path.unlink()
    status, said = verify()
    assert status == 1 and last(said).startswith("Differs: tables figures/fig1_accuracy.csv.")


def test_another_config_cannot_be_compared_and_its_key_is_named(run, verify):
    grid = [SMALL["grid"][0] | {"alpha": 0.3}]
    write(run, load.resolve(SMALL | {"grid": grid}))
    status, said = verify()
    assert status == 2 and "key grid[0].alpha[0] is 0.3, and 0.1 in " in said
    write(run, load.resolve(SMALL | {"seeds_per_job": 1, "tensorboard": True}))
    assert verify()[0] == 0, "these keys change no number"


def test_other_images_are_compared_only_if_asked_for(run, verify):
    other = DATA | {"source": "other images", "tag": "other", "sha256": "b" * 64}
    write(run, load.resolve(SMALL), other)
    status, said = verify()
    assert status == 2
    assert "other images (other, SHA-256 bbbbbbbb…), not some images (digits, SHA-256 aaaaaaaa…)" in said
    status, said = verify("--any-data")
    assert status == 0 and "made from other images than the record" in said


def test_a_run_or_record_that_is_missing_cannot_be_compared(run, verify):
    assert verify("--record", "yours") == (
        2,
        f"error: {run.parent.parent / 'reference/yours'}: no such record; name one with --record, of mine\n",
    )
    (run / "claims.json").unlink()
    assert "holds no finished claims.json; run that preset first" in verify()[1]


def test_other_code_is_told_and_no_difference(run, verify):
    write(run, load.resolve(SMALL), code="1" * 12, outputs="1")
    status, said = verify()
    assert status == 0 and "7 jobs 0 ran by the same code" in said


def test_raw_values_are_compared_where_the_record_keeps_them(run, verify):
    kept = run.parent.parent / "reference/mine/raw"
    for job in plan.jobs(load.resolve(SMALL)):
        for folder in (run, kept):
            (folder / job.folder).mkdir(parents=True, exist_ok=True)
            rows = [{"norm": job.folder, "seed": seed, "test_loss": 2.0 + seed} for seed in (0, 1, 2)]
            pd.DataFrame(rows).to_parquet(folder / job.values)
    assert "raw train" in verify()[1]
    first = plan.jobs(load.resolve(SMALL))[0].values
    pd.read_parquet(run / first).assign(test_loss=99.0).to_parquet(run / first)
    status, said = verify()
    assert status == 1 and "Differs: tables raw train" in said


def test_means_of_what_is_near_by_the_seeds_spread_decide_nothing(run, verify):
    means = pd.DataFrame({"norm": ["batch", "none"], "mean": [1.0, 2.0]})
    means.to_csv(run.parent.parent / "reference/mine/figures/noise_cells.csv", index=False)
    path = run / "figures/noise_cells.csv"
    means.assign(mean=[1.0, 2.1]).to_csv(path, index=False)
    assert verify()[0] == 1, "the values by seed are the record's, so their means must be"
    change(run / "figures/fig1_accuracy.csv", accuracy=ACCURACY[-1]["accuracy"] - 0.04)
    status, said = verify()
    assert status == 0 and "means, which decide nothing" in said
    assert last(said).endswith("of 20 values 18 identical, 1 within 5 sd over seeds, 1 means of such.")


# Two tables


def near(record, run, name="t"):
    """How near the columns of two tables are, by name."""
    found = compare(name, pd.DataFrame(record), pd.DataFrame(run))
    return {column.name: column.near for column in found.columns}


def test_nan_equals_nan_and_an_infinity_itself():
    values = [np.nan, np.inf, -np.inf, 1.0]
    same = compare("t", pd.DataFrame({"value": values}), pd.DataFrame({"value": values}))
    assert same.columns[0].counts == (4, 0, 0, 0)
    other = compare("t", pd.DataFrame({"value": values}), pd.DataFrame({"value": [1.0, -np.inf, np.nan, np.inf]}))
    assert other.columns[0].counts == (0, 0, 0, 4) and other.columns[0].relative == np.inf


def test_failures_are_compared_as_values():
    record = {"seed": [0, 1, 2], "failure": ["overflow", None, None]}
    assert near(record, record) == {"failure": Near.IDENTICAL}
    assert near(record, record | {"failure": ["NaN", None, None]}) == {"failure": Near.DIFFERENT}
    assert near(record, record | {"failure": [np.nan] * 3}) == {"failure": Near.DIFFERENT}
    assert near(record | {"failure": [np.nan] * 3}, record | {"failure": [np.nan] * 3}) == {"failure": Near.IDENTICAL}


def test_rows_are_matched_by_their_factors_in_any_order():
    record = {"norm": ["batch", "none", "none"], "step_size": [0.1, 0.1, 0.2], "seed": [0] * 3, "loss": [1.0, 2.0, 3.0]}
    run = pd.DataFrame(record).assign(step_size=[0.1, 0.1, np.nextafter(0.2, 1)]).iloc[::-1]
    assert near(record, run) == {"loss": Near.IDENTICAL}
    assert near({"layer": [1, 1], "gradient": [1.0, 2.0]}, {"layer": [1, 1], "gradient": [2.0, 1.0]}) == {
        "gradient": Near.DIFFERENT
    }, "rows that share all factors keep their order"


def test_a_learning_rate_is_a_factor_except_where_it_was_measured():
    record, run = ({"depth": [8, 8], "seed": [0, 1], "alpha": alphas} for alphas in ([0.1, 0.1], [0.1, 0.2]))
    assert near(record, run, "max_learning_rate") == {"alpha": Near.DIFFERENT}
    assert compare("t", pd.DataFrame(record), pd.DataFrame(run)).missing == 1


def test_positive_values_are_compared_by_their_ratio():
    record = {"norm": ["a", "a", "b", "b"], "seed": [0, 1, 0, 1], "noise": [1e6, 1.1e6, 1e-6, 1.1e-6]}
    assert near(record, record | {"noise": [1e6, 1.2e6, 1e-6, 1.1e-6]}) == {"noise": Near.SPREAD}
    assert near(record, record | {"noise": [1e6, 1.1e6, 1e-6, 1e-4]}) == {"noise": Near.DIFFERENT}


def test_one_seed_or_none_has_no_spread():
    for factors in ({"seed": [0]}, {"norm": ["batch"]}):
        assert near(factors | {"value": [1.0]}, factors | {"value": [1.01]}) == {"value": Near.DIFFERENT}


def test_seeds_that_agree_by_chance_have_the_spread_of_the_others():
    seeds = {"norm": ["a", "a", "b", "b"], "seed": [0, 1, 0, 1]}
    moved = 1.0 - SPREADS * 0.01
    assert near(seeds | {"v": [1.0, 1.0, 0.9, 0.95]}, seeds | {"v": [moved, 1.0, 0.9, 0.95]}) == {"v": Near.SPREAD}


def test_a_column_that_one_side_lacks_differs():
    assert near({"seed": [0], "a": [1.0]}, {"seed": [0], "b": [1.0]}) == {"a": Near.DIFFERENT, "b": Near.DIFFERENT}
