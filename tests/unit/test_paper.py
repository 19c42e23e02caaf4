"""Where the paper's numbers may be compared with ours."""

import pandas as pd
import pytest

from understanding_bn import paper


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
