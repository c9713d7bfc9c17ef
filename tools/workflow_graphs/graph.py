"""What a workflow is before ComfyUI has written it: nodes in columns and links between them."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Node:
    """A node of a graph.

    Attributes:
        kind: its id.
        widgets: what is set, by name.
        links: from its inputs, by name, to (node, output) of the graph, outputs by name.
        width: in pixels, where it is not as it comes; a column is as wide as its widest node.
        height: in pixels, where it is not as it comes.
        room: pixels to leave free below it, by which it grows when it has run.
        late: whether it is made after all that are not, as a node that came to the workflow later: ids count up, and
            those of the others stay.
        bypassed: whether what comes in goes on as it is, as if it were not there.
        models: links for the missing-model dialog.
    """

    kind: str
    widgets: dict[str, Any] = field(default_factory=dict)
    links: dict[str, tuple[str, str]] = field(default_factory=dict)
    title: str = ""
    width: int = 0
    height: int = 0
    room: int = 0
    late: bool = False
    bypassed: bool = False
    models: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Graph:
    """A workflow.

    Attributes:
        columns: from left to right, each its nodes by name, from top to bottom. Links run to the right.
        shown: the node and output whose frames its thumbnail is made of; None where it needs models that are not here.
        groups: titles of frames around nodes, each with the names of its nodes.
    """

    columns: list[dict[str, Node]]
    shown: tuple[str, str] | None
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
