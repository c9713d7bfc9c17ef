"""Names that people give, as names of files on every system."""

_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{k}" for port in ("com", "lpt") for k in range(1, 10))}
"""What Windows takes for devices, whatever the ending."""
_MOST_BYTES = 200
"""File systems take 255; endings and numbers come behind."""


def is_reserved(name: str) -> bool:
    """Whether a system has another use for this name."""
    return name.partition(".")[0].strip().lower() in _RESERVED


def is_too_long(name: str) -> bool:
    """Whether a file system may refuse it for its length."""
    return len(name.encode()) > _MOST_BYTES
