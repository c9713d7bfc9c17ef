"""One base after the other, as it is and in float64."""

from dataclasses import replace

import pytest
import torch
from every_base import BASES
from torch import Tensor

from miva_core import Base

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=BASES)
def base(request: pytest.FixtureRequest) -> Base:
    """In float32, as it makes clips; made anew for every test, which may change it."""
    return BASES[request.param]()


@pytest.fixture
def precise(base: Base) -> Base:
    """The same base in float64, for comparisons at 1e-9. No bias and no norm of it is neutral."""
    base.model.double()
    for parameter in base.model.parameters():
        if (parameter == parameter.flatten()[0]).all():
            torch.nn.init.normal_(parameter, mean=1.0, std=0.3)
    return replace(base, text=base.text if base.text is None else base.text.double())


@pytest.fixture
def picture(base: Base) -> Tensor:
    """(H, W, 3) of the base's own size."""
    return torch.rand(*base.size, 3)
