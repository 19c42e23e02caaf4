"""The optimiser: torch's own, without what would load torch's compiler."""

import subprocess
import sys

import torch
from torch import nn

from understanding_bn.settings import Optimiser
from understanding_bn.training import update

OPTIMISER = Optimiser(momentum=0.9, weight_decay=5e-4)

PROGRAM = """
import sys
import torch
from understanding_bn.settings import Optimiser
from understanding_bn.training import update

model = torch.nn.Linear(3, 2)
optimiser = update.sgd(model, 0.1, Optimiser(momentum=0.9, weight_decay=5e-4))
update.step(model, optimiser, torch.ones(4, 3), torch.zeros(4, dtype=torch.long))
optimiser.load_state_dict(optimiser.state_dict())
print("torch._dynamo" in sys.modules)
"""


def test_every_update_is_torchs():
    """Bit for bit, also after a state went from one to the other."""
    torch.manual_seed(0)
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    mine = update.sgd(ours, 0.1, OPTIMISER)
    reference = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for turn in range(6):
        images, labels = torch.randn(8, 5), torch.randint(3, (8,))
        loss, _ = update.step(ours, mine, images, labels)
        expected, _ = update.step(theirs, reference, images, labels)
        assert torch.equal(loss, expected)
        assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), theirs.parameters(), strict=True))
        if turn == 2:
            states = mine.state_dict(), reference.state_dict()
            mine.load_state_dict(states[1])
            reference.load_state_dict(states[0])
    assert all(not parameter.grad_fn for parameter in ours.parameters())


def test_no_process_loads_the_compiler():
    """It would take seconds of every job."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
