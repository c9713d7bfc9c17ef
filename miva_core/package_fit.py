"""Packages that are there, but do not go together."""

from collections.abc import Iterator

_TORCHVISION = (
    "operator torchvision::",
    "Could not run 'torchvision::",
    "Couldn't load custom C++ ops",
    "PyTorch and torchvision were compiled with different CUDA",
    "partially initialized module 'torchvision'",
)
"""What is raised where torchvision was built for another torch."""


def misfit_of(error: BaseException) -> str:
    """The sentence on packages that do not go together, if an exception comes of that; empty otherwise.

    Args:
        error: also one of another package, such as transformers, that was raised from it.
    """
    if not any(sign in str(one) for one in _causes(error) for sign in _TORCHVISION):
        return ""
    import torch

    return (
        f"The installed torchvision does not fit torch {torch.__version__}, as when one of them was updated alone: "
        "install the torchvision that belongs to this torch, with the same Python and from the same place "
        "(https://github.com/pytorch/vision#installation lists which), then start again."
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, and those that it was raised from or after."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
