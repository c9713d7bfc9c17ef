"""Names that people type, as names of files on every operating system."""

import re
import time

_PORTS = {f"{port}{digit}" for port in ("com", "lpt") for digit in "123456789¹²³"}
_RESERVED = {"con", "conin$", "conout$", "prn", "aux", "nul", *_PORTS}
"""Names that Windows takes for devices, whatever the ending."""
_MOST_BYTES = 200
"""File systems allow 255; a number and an ending are still to be added."""

_TIMES = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H", "minute": "%M", "second": "%S"}
_DATES = {"yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "hh": "%H", "mm": "%M", "ss": "%S"}
"""What ComfyUI's own nodes fill in for %year%, and for yyyy in %date:yyyy-MM-dd%, as formats of `time.strftime`."""


def fill_in(name: str, now: time.struct_time, size: tuple[int, int]) -> str:
    """Fill in the date, the time and the size of a clip, as ComfyUI's own nodes that save files do.

    Args:
        name: such as pan_%year%-%month% or %date:yyyy-MM-dd%/pan.
        now: the local time.
        size: width and height for %width% and %height%.

    Returns:
        The name; anything else between two per cent signs is left as it is.
    """
    words = {word: time.strftime(form, now) for word, form in _TIMES.items()}
    words |= {"width": str(size[0]), "height": str(size[1])}

    def part(found: re.Match[str]) -> str:
        kind, _, pattern = found[1].partition(":")
        return _date(pattern, now) if kind == "date" and pattern else words.get(found[1], found[0])

    return re.sub("%([^%]+)%", part, name)


def _date(pattern: str, now: time.struct_time) -> str:
    """A date in a pattern such as d.M.yyyy; a single letter stands for a number without a leading zero."""

    def field(found: re.Match[str]) -> str:
        letters = found[0]
        whole = time.strftime(_DATES.get(letters) or _DATES[2 * letters], now)
        return whole if letters in _DATES else str(int(whole))

    return re.sub("yyyy|yy|MM?|dd?|hh?|mm?|ss?", field, pattern)


def is_reserved(name: str) -> bool:
    """Whether an operating system keeps this name for something else."""
    return name.partition(".")[0].strip().lower() in _RESERVED


def is_too_long(name: str) -> bool:
    """Whether a file system may refuse the name for its length."""
    return len(name.encode()) > _MOST_BYTES
