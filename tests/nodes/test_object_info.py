"""What ComfyUI tells of the nodes is what workflows on other people's disks count on."""

import difflib
from pathlib import Path

import pytest
from node_pack import ROOT

from tools.node_texts import OBJECT_INFO, TEXTS, rendered


@pytest.mark.parametrize("path", [TEXTS, OBJECT_INFO], ids=lambda path: path.name)
def test_what_follows_from_the_schemas_is_as_it_was(path: Path) -> None:
    """To the letter and in order.

    A workflow keeps the values of widgets by their position, and connections by the ids of inputs and the numbers of
    outputs: an input may be added at the end, but none may change its id, place or type, or lose an option.

    Where a change is meant, write the files anew by `python -m tools.node_texts`, look at what git shows of them, and
    commit them with the change; for a text in locales/en, change the one in locales/zh, too.
    """
    now, kept = rendered()[path], path.read_text(encoding="utf-8")
    changes = difflib.unified_diff(kept.splitlines(), now.splitlines(), "as kept", "as they are", n=8, lineterm="")
    assert now == kept, (
        f"{path.relative_to(ROOT)} is not what the schemas of the nodes say. If the change is meant, run "
        "`python -m tools.node_texts` and commit the file.\n" + "\n".join(changes)
    )
