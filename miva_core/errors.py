"""What users are told: the one exception, and the one warning."""


class MIVAError(ValueError):
    """Bad input, told in one sentence: what it is, what was expected, what to do."""

    # ComfyUI shows it, and names the modules of a node pack by their folder's whole path.
    __module__ = "miva_core.errors"


class MIVAWarning(UserWarning):
    """Input that was taken otherwise than it was given, told in one sentence."""
