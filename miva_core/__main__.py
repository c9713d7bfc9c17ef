"""The command `miva`, which is also `python -m miva_core`."""

import sys
import warnings
from io import TextIOWrapper

from .cli.main import main


def run() -> int:
    """Run the command that stands in `sys.argv`. Returns its exit code."""
    # Without a graphics card diffusers 0.36 warns, while it is imported, of models that are not used here.
    warnings.filterwarnings("ignore", message="CUDA is not available or torch_xla is imported", category=UserWarning)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character of a file's name shows a question mark.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    return main()


if __name__ == "__main__":
    sys.exit(run())
