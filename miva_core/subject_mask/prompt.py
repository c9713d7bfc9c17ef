"""Split a prompt such as "horse. rider." into phrases, one for each subject."""

import re

from ..errors import MIVAError


def split_prompt(prompt: str) -> list[str]:
    """Split a prompt into phrases: in order, lower-cased, without duplicates.

    Phrases end at a full stop, a comma, a semicolon, a question mark or a line break.

    Raises:
        MIVAError: there is no phrase, or the prompt is no text.
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
