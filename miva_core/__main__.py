"""`python -m miva_core`."""

import sys

from .cli import main

for stream in (sys.stdout, sys.stderr):
    # A terminal that cannot show a character of a file's name shows a question mark.
    stream.reconfigure(errors="replace")
sys.exit(main())
