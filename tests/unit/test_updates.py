"""Training in updates: equally many at every batch size, and none but whole epochs of them."""

import pytest
from small_configs import config, entry

from understanding_bn.errors import UserError
from understanding_bn.experiment.load import resolve
from understanding_bn.experiment.plan import cells


def lasting(updates, sizes, images=1024, **changes):
    """A config whose grid is in updates."""
    grid = [{name: value for name, value in entry(batch_size=sizes, updates=updates).items() if name != "epochs"}]
    return resolve(config().model_dump(mode="json") | {"grid": grid, "subset": {"train": images}} | changes)


def test_every_batch_size_gets_as_many_updates():
    found = {cell.batch_size: cell.epochs for cell in cells(lasting(256, [16, 64, 256]))}
    assert found == {16: 4, 64: 16, 256: 64}
    assert {epochs * (1024 // size) for size, epochs in found.items()} == {256}


def test_an_epoch_has_whole_mini_batches_only():
    assert [cell.epochs for cell in cells(lasting(128, [16, 128], images=1030))] == [2, 16]


@pytest.mark.parametrize(("share", "epochs"), [(0.5, 2), (0.25, 1), (1, 4)])
def test_a_share_of_them_is_whole_epochs_too(share, epochs):
    (cell,) = cells(lasting(256, 16, epochs_fraction=share))
    assert cell.epochs == epochs


@pytest.mark.parametrize(
    ("updates", "sizes", "changes", "message"),
    [
        (
            250,
            [16, 64],
            {},
            "250 is no number of whole epochs of 64 updates, at batch_size 16; expected a multiple of 64",
        ),
        (10, [16], {}, "10 is no number of whole epochs of 64 updates, at batch_size 16; .* such as 64"),
        (256, [16], {"epochs_fraction": 0.1}, "256 × epochs_fraction 0.1 is no number of whole epochs of 64 updates"),
        (
            1,
            [8],
            {"dataset": "parquet", "data_dir": "d", "subset": {}},
            "unknown for data of your own; set subset.train",
        ),
    ],
)
def test_others_are_one_line_that_names_some_that_fit(updates, sizes, changes, message):
    with pytest.raises(UserError, match=rf"^config key grid\[0\].updates: .*{message}"):
        lasting(updates, sizes, **changes)


def test_what_a_validation_split_takes_does_not_count():
    with pytest.raises(UserError, match="whole epochs of 77 updates, at batch_size 16"):
        lasting(89, 16, subset={"validation": 200})
    (cell,) = cells(lasting(154, 16, subset={"validation": 200}))
    assert cell.epochs == 2
