"""The exception and the warning whose text is meant for users."""


class MIVAError(ValueError):
    """Bad input. The message says in one sentence what it is, what was expected and what to do."""

    # ComfyUI shows it, and names the modules of a node pack by their folder's whole path.
    __module__ = "miva_core.errors"


class MIVAWarning(UserWarning):
    """Input that was used in another way than it was given. The message says in one sentence how."""
