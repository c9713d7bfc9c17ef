"""What the user writes, "horse. rider.", as phrases, one for each subject."""

import re

from ..errors import MIVAError


def split_prompt(prompt: str) -> list[str]:
    """The phrases of a prompt, in its order, lower-cased, each once.

    They end at a full stop, a comma, a semicolon, a question mark or a line break.

    Raises:
        MIVAError: there is none, or this is no text.
    """
    if not isinstance(prompt, str):
        raise MIVAError(f"The subject prompt is a {type(prompt).__name__}: write it as a text such as 'horse. rider.'.")
    phrases = (" ".join(part.lower().split()) for part in re.split(r"[.,;?\n]", prompt))
    found = list(dict.fromkeys(filter(None, phrases)))
    if not found:
        raise MIVAError(
            "The subject prompt is empty. Write one short noun phrase per subject, each ended by a full stop, for "
            "example: horse. rider."
        )
    return found
