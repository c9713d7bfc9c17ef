"""Text for people, in which no name of a file or text from one acts as a code of a terminal or turns a line round."""

from typing import Any, TextIO


def in_ascii(text: str) -> str:
    """A text in which all but line ends that cannot be printed stands as Python writes it, as in \\x1b or \\u202e."""
    return "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text)


class PlainStream:
    """A stream for text that writes `in_ascii` what cannot be printed.

    Args:
        stream: where the text goes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As of any stream."""
        return self._stream.write(in_ascii(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
