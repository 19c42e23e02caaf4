"""The table of other readings of the paper."""

import numpy as np
import pandas as pd
import pytest
from made_up import moments_table

from understanding_bn.figures import readings


def test_readings_stand_side_by_side_with_the_papers_values():
    sums = pd.DataFrame({"norm": "batch", "seed": [0, 1], "layer": 18, "b": 0.5, "ratio": [200.0, 300.0]})
    # Two images of class 0: in seed 1 class 1 takes both, in seed 0 none is near the largest possible gradient.
    logits = pd.DataFrame({"norm": "batch", "seed": [0, 0, 1, 1], "image": [0, 1, 0, 1], "label": 0, "class": 1})
    logits = logits.assign(gradient=[0.2, 0.5, 0.3, 0.4], batch_size=2)
    measured = {"channel_moments": moments_table(), "gradient_sums": sums, "logit_gradients": logits}
    archs = ("resnet-110", "resnet-padded-110")
    table, text = readings.tabulate(
        **{
            name: pd.concat([part.assign(arch=arch, init="xavier_uniform") for arch in archs], ignore_index=True)
            for name, part in measured.items()
        }
    )
    assert "| Table 1, a/b at layer 18 | batch norm | 250 ± 71 | 250 ± 71 | 251.8 (shaky) |" in text
    assert "| Table 1, b at layer 18 | batch norm | 0.5 ± 0 | 0.5 ± 0 | unknown |" in text
    assert (
        "| Fig. 6, share of networks with one class positive for all images | batch norm | 0.5 | 0.5 | 0 (digitised) |"
        in text
    )
    assert (table["paper"].notna() == table["paper_origin"].notna()).all()
    assert set(table["paper_origin"].dropna()) == {"digitised", "shaky"}
    assert "projections, xavier uniform (ours)" in text
    assert "zero padding, xavier uniform" in text
    main = table[(table["arch"] == "resnet-110") & (table["site"] == "convolution") & (table["norm"] == "none")]
    value = main.set_index("quantity")["value"]["Fig. 5, log-std: rms distance from the paper"]
    # Every log-std of the table is 2; the paper has −1.25 and −1.15 at layers 6 and 18.
    assert value == pytest.approx(np.sqrt((3.25**2 + 3.15**2) / 2))
