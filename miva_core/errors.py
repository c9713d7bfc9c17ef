"""The one exception users see."""


class MIVAError(ValueError):
    """Bad input, told in one sentence: what it is, what was expected, what to do."""
