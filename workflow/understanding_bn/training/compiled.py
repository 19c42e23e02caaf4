"""Blocks compiled by torch.compile, one by one: an option of training, which changes rounding and costs a start."""

from understanding_bn.errors import UserError
from understanding_bn.files import first_line
from understanding_bn.models.resnet import ResNet

# Blocks share their code, and differ in widths, strides, shortcuts and mode. Beyond torch's own limit, which is lower,
# it would go on without compiling, and not say so.
MOST_VARIANTS = 64


def compile_blocks(model: ResNet) -> None:
    """Have every block compiled when it is first called. Names and values of its parameters stay.

    Raises:
        UserError: torch has no compiler here.
    """
    try:
        import torch._dynamo

        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, MOST_VARIANTS)
        for block in model.blocks:
            block.compile(dynamic=False)
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"config key compiled: torch can compile nothing here ({first_line(error)}); set it to false"
        ) from None
