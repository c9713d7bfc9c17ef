"""Text on a terminal, where names and texts from files must not act as control codes or reverse a line."""

from typing import Any, TextIO


def in_ascii(text: str) -> str:
    """Replace characters that cannot be printed, but for line ends, by their escapes, such as \\x1b or \\u202e."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


class PlainStream:
    """A text stream that passes what it is given to another one, through `in_ascii`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text; the number of characters is returned."""
        return self._stream.write(in_ascii(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
