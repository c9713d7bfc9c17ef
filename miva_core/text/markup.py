"""Text from people and files in places where a program looks for markup."""

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
    """Escape a text so that it reads to the letter in HTML and in Markdown, without tags or links.

    Line ends get the two spaces that Markdown needs and HTML ignores.
    """
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", text).replace("\n", "  \n")
