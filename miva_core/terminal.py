"""Output for a terminal, in which no name of a file or text from one acts as a code of the terminal."""

from typing import Any, TextIO


class PlainStream:
    """A stream for text, in which all but line ends that cannot be printed is written as Python writes it, in ASCII.

    Args:
        stream: where the text goes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As of any stream."""
        shown = (one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text)
        return self._stream.write("".join(shown))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
