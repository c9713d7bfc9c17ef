"""Installed packages that do not fit each other, such as a torchvision built for another torch."""

from collections.abc import Iterator

_TORCHVISION = (
    "operator torchvision::",
    "Could not run 'torchvision::",
    "Couldn't load custom C++ ops",
    "PyTorch and torchvision were compiled with different CUDA",
    "partially initialized module 'torchvision'",
)
"""Parts of the messages that are raised where torchvision was built for another torch."""


def misfit_of(error: BaseException) -> str:
    """Explain an exception that comes of packages that do not fit each other.

    Args:
        error: the exception, or one that another package, such as transformers, raised from it.

    Returns:
        A sentence for the user; empty if the exception has another cause.
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
    """Yield an exception and those that it was raised from or after."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
