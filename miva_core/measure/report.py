"""Write the table and the plot of an evaluation."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..adapters.info import AdapterInfo
from ..storage.files import replacing
from ..text.markup import as_markup
from .evaluation import MEASURES, medians

_COLUMNS = 4
_MOST_LABELS = 24
"""With more stills than this the plot shows no names."""

Rows = Sequence[tuple[str, Mapping[str, float]]]
"""The name of each still, and its measures by their keys in `MEASURES`."""


def table(rows: Rows) -> list[str]:
    """Format rows as the lines of a Markdown table, with their medians as the last one."""
    keys = list(rows[0][1])
    heads = [f"{MEASURES[key].name}, {MEASURES[key].unit}".removesuffix(", ") for key in keys]
    lines = [_line(["still", *heads]), _line(["---"] * (1 + len(keys)))]
    named = [(as_markup(name), values) for name, values in rows]
    for name, values in [*named, ("**median**", medians([values for _, values in rows]))]:
        lines.append(_line([name, *(_number(key, values[key]) for key in keys)]))
    return lines


def left_out(names: Sequence[str]) -> str:
    """Say which stills are no part of a table."""
    return f"Left out, since no motion can be measured in what they became: {', '.join(map(as_markup, names))}."


def write_table(path: Path, info: AdapterInfo, rows: Rows, seeds: int, missing: Sequence[str] = ()) -> None:
    """Write the table as a Markdown file, with the meaning of each measure.

    Args:
        path: the file; an older one is replaced.
        info: of the adapter.
        rows: at least one.
        seeds: number of clips of each still.
        missing: the names of stills that could not be measured.
    """
    keys = list(rows[0][1])
    what = "the medians of their clips" if seeds > 1 else "a clip"
    lines = [
        f"# {as_markup(info.motion)}",
        "",
        f"{len(rows)} still{'s' * (len(rows) > 1)}, {what} of {seeds} seed{'s' * (seeds > 1)} each. Flow is by dense "
        "inverse search, where VBench and EvalCrafter take RAFT, and frames are interpolated along Farneback's, where "
        "VBench takes AMT: compare these numbers among each other, not with published ones.",
        "",
        *table(rows),
        "",
        *([left_out(missing), ""] if missing else []),
        *(f"- {MEASURES[key].name}: {MEASURES[key].meaning}" for key in keys),
    ]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_plot(path: Path, rows: Rows, speeds: Sequence[Sequence[float]]) -> None:
    """Plot each measure, a dot for each still and a line at their median, and how the speed changes over the frames.

    Args:
        path: the file; an older one is replaced.
        rows: at least one.
        speeds: of the frames 2..F of a clip of each still, in pixels a frame.
    """
    from matplotlib.figure import Figure

    keys = [key for key in rows[0][1] if key != "direction"]
    names, places = [name for name, _ in rows], range(len(rows))
    lines = math.ceil((len(keys) + 1) / _COLUMNS)
    height = 1.2 + 0.18 * min(len(rows), _MOST_LABELS)
    figure = Figure(figsize=(3.4 * _COLUMNS, height * lines), layout="constrained")
    figure.suptitle("each dot a still, the line their median", fontsize=9)
    middle = medians([values for _, values in rows])
    for k, key in enumerate(keys):
        axes = figure.add_subplot(lines, _COLUMNS, k + 1)
        axes.plot([values[key] for _, values in rows], places, "o", color="C0", markersize=4)
        axes.axvline(middle[key], color="C1")
        axes.set_title(f"{MEASURES[key].name}, {MEASURES[key].unit}".removesuffix(", "), fontsize=9)
        named = k % _COLUMNS == 0 and len(rows) <= _MOST_LABELS
        # A name with dollar signs in it is no formula.
        axes.set_yticks(places if named else [], names if named else [], parse_math=False)
        axes.invert_yaxis()
        axes.tick_params(labelsize=7)
        axes.locator_params(axis="x", nbins=4)
        axes.grid(axis="x", alpha=0.3)
    axes = figure.add_subplot(lines, _COLUMNS, len(keys) + 1)
    for clip in speeds:
        axes.plot(range(2, len(clip) + 2), clip, color="C0", alpha=0.6)
    axes.set_title("speed over frames, px/frame", fontsize=9)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _number(key: str, value: float) -> str:
    # Of buckets alone there are halves at most.
    return f"{value:g}" if key == "bucket" else f"{value:.2f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
