"""Text from people and files where a program looks for markup."""

import re

_MARKUP = re.compile(
    # tags, entities, and what Markdown sets in another way or makes a link of
    r"[&<>\[*`~|\\@]|:(?=//)|(?<=www)\."
    # underscores, but for those inside of words
    r"|(?<![^\W_])_|_(?![^\W_])"
    # what a list, a heading, code or a line across the page begins with
    r"|^(?:\d(?=\d*[.)](?:\s|$))|[^\w\n])",
    re.IGNORECASE | re.MULTILINE,
)


def as_markup(text: str) -> str:
    """Text that reads to the letter where it is taken for HTML or for Markdown, without tags or links.

    In Markdown a line ends by two spaces, which HTML passes over.
    """
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", text).replace("\n", "  \n")
