"""The nodes MIVA Info and Save MIVA: show what motions are, and keep them."""

import re
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from comfy_api.v0_0_2 import io

from ..miva_core.adapters.info import AdapterInfo
from ..miva_core.attention.strength import Level, Part, Strength, curves_of
from ..miva_core.checks import printable
from ..miva_core.errors import MIVAError
from ..miva_core.storage.files import FileTakenError, create_folder
from .comfy_bridge import comfy_folders
from .file_names import fill_in, is_reserved, is_too_long
from .messages import friendly_errors, node_text
from .sockets import StackSocket
from .stacks import MivaStack, StackedMiva, StackedWords, files_in, stamp_of, words_in

_MOST_NAMES = 10_000


class MIVAInfo(io.ComfyNode):
    """Shows the headers of a stack's motions."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVAInfo",
            display_name="MIVA Info",
            category="MIVA",
            description="Shows what the motions of a stack are: their base, size, training, licence, and how they are "
            "set.",
            search_aliases=["metadata", "inspect motion", "about miva", "show info"],
            is_output_node=True,
            inputs=[StackSocket.Input("mivas", optional=True, tooltip="From Load MIVA, Stack MIVAs or Train MIVA.")],
            outputs=[io.String.Output("text", tooltip="What is shown on the node.")],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: object) -> float:
        """Run again every time: the text on the node is lost when the page is loaded anew."""
        # A new NaN every time: inside of a tuple Python takes an object that it meets again for equal to itself.
        return float("nan")

    @classmethod
    @friendly_errors
    def execute(cls, mivas: MivaStack = ()) -> io.NodeOutput:
        text = "\n\n".join(_described(entry) for entry in mivas) or "No motion is connected."
        return io.NodeOutput(text, ui=node_text(text))


def _described(entry: StackedMiva | StackedWords) -> str:
    if isinstance(entry, StackedWords):
        return _described_words(entry)
    return _described_file(entry)


def _described_words(entry: StackedWords) -> str:
    lines = [f"{entry.name} (said to the base)", f"masked: {'yes' if entry.mask is not None else 'no'}"]
    lines.append(f"speed: {_level(entry.said.strength)}")
    lines += [] if entry.said.degree is None else [f"degree: {entry.said.degree:g}"]
    return "\n".join(lines)


def _described_file(entry: StackedMiva) -> str:
    from ..miva_core.animation.degree_notes import describe_degree, describe_range
    from ..miva_core.bases.known import name_base, say_trained_on

    info, trained_on = entry.info, say_trained_on(entry.info)
    bound = "bound to a mask" if entry.mask is not None else "needs a mask of its subject"
    lines = [
        f"{info.motion} ({entry.path.name})",
        f"base: {name_base(info) or f'{info.family}, {info.fingerprint}'}",
        f"made for: {info.frames} frames of {info.size[0]}×{info.size[1]} at {info.fps:g} a second",
        f"masked: {bound if entry.takes_mask else 'no'}",
        f"weight: {_weight(entry)}",
    ]
    lines += ["guide: a depth map"] * (info.config.guide == "nearness")
    lines += [f"words: {', '.join(info.words)}"] * info.config.words + [f"told: {entry.words}"] * bool(entry.words)
    if info.degree:
        size = info.size[1], info.size[0]
        lines.append(f"degree: {describe_range(info.degree, size)}")
        if entry.degree is not None:
            lines.append(f"set to {entry.degree:g}: {describe_degree(entry.degree, info.degree, size)}")
    lines += [trained_on] * bool(trained_on)
    lines += [f"subject: {info.subject}"] * bool(info.subject)
    lines += [f"{name}: {value}" for name, value in info.training.items()]
    lines += [f"licence: {info.licence}"] * bool(info.licence) + [f"author: {info.author}"] * bool(info.author)
    return "\n".join(lines)


def _weight(entry: StackedMiva) -> str:
    """How strongly a motion acts, in the course of the run and of the clip."""
    strength = Strength.of(entry.strength)
    levels = [_level(level) for level in strength.by_part()]
    if len(set(levels)) > 1:
        return "; ".join(f"{part.label} {level}" for part, level in zip(Part, levels, strict=True))
    span = f", from {entry.span[0]:.0%} to {entry.span[1]:.0%} of the steps" if strength.constant else ""
    return f"{levels[0]}{span}"


def _level(level: Level) -> str:
    if isinstance(level, (int, float)):
        return f"{level:g}"
    ranges = ((curve.over, min(curve.values), max(curve.values)) for curve in curves_of(level))
    return ", times ".join(f"{lowest:g} to {highest:g} over the {over}" for over, lowest, highest in ranges)


class MIVASave(io.ComfyNode):
    """Keeps motions where Load MIVA finds them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVASave",
            display_name="Save MIVA",
            category="MIVA/training",
            description="Copies all motions of a stack into models/miva, where Load MIVA lists them after a refresh "
            "(R); their weights and masks stay here. No file is ever replaced: the next free number is taken.",
            search_aliases=["save motion", "export miva", "keep adapter", "save adapter"],
            is_output_node=True,
            inputs=[
                StackSocket.Input("mivas", tooltip="From Train MIVA."),
                io.String.Input(
                    "filename_prefix",
                    default="my_motion",
                    tooltip="Name of the file; folders may stand before it, as in camera/my_pan. %year%, %month%, "
                    "%day%, %hour%, %minute%, %second%, %width%, %height% and %date:yyyy-MM-dd% are filled in.",
                ),
                io.String.Input(
                    "author", default="", tooltip="Who made it, recorded in the file. Empty: as it is.", advanced=True
                ),
                io.String.Input(
                    "licence",
                    default="",
                    placeholder="CC-BY-4.0",
                    tooltip="Under which others may use it, recorded in the file. Empty: as it is.",
                    advanced=True,
                ),
            ],
            outputs=[],
        )

    @classmethod
    @friendly_errors
    def execute(cls, mivas: MivaStack, filename_prefix: str, author: str, licence: str) -> io.NodeOutput:
        if not mivas:
            raise MIVAError("There is no motion to save: connect Train MIVA, or another node that gives MIVAs.")
        folder = comfy_folders.adapters_folder()
        if said := words_in(mivas):
            raise MIVAError(f"{said[0].name} is said in words and has no file to save: take Motion by Words out.")
        files = files_in(mivas)
        infos = [_signed(entry.info, author, licence) for entry in files]
        saved = [_keep(entry, info, folder, filename_prefix) for entry, info in zip(files, infos, strict=True)]
        return io.NodeOutput(ui=node_text("\n".join(f"Saved as {name}" for name in saved)))


def _signed(info: AdapterInfo, author: str, licence: str) -> AdapterInfo:
    """A header with the author and the licence that were typed, each on one line; nothing typed changes nothing."""
    author, licence = " ".join(author.split()), " ".join(licence.split())
    return replace(info, author=author or info.author, licence=licence or info.licence)


def _keep(entry: StackedMiva, info: AdapterInfo, folder: Path, prefix: str) -> str:
    """Copy a motion's file with a new header into the folder, and give the name it has there."""
    from ..miva_core.adapters.adapter import relabel

    stamp_of(entry.path)
    stem = _checked_prefix(fill_in(prefix, time.localtime(), info.size))
    create_folder((folder / stem).parent, parents=True)
    names = (f"{stem}.safetensors", *(f"{stem}_{k:05d}.safetensors" for k in range(2, _MOST_NAMES)))
    for name in names:
        # One in another folder of motions, as of the shipped ones, would be hidden behind this one in menus.
        if comfy_folders.file_in("miva", name) is None:
            # Another save may take the same number meanwhile.
            with suppress(FileTakenError):
                relabel(entry.path, info, folder / name)
                return name
    raise MIVAError(f"There are {_MOST_NAMES} files called {stem} in {folder}: choose another filename_prefix.")


def _checked_prefix(prefix: str) -> str:
    shown = printable(repr(prefix), 60)
    parts = [part.strip() for part in prefix.strip().removesuffix(".safetensors").replace("\\", "/").split("/")]
    if reserved := next(filter(is_reserved, parts), None):
        raise MIVAError(f"{reserved!r} is a name that Windows keeps for itself: write another filename_prefix.")
    if not all(parts) or any(map(_is_no_name, parts)):
        raise MIVAError(
            f"The filename_prefix {shown} is no name for a file in models/miva: write letters, digits, _ and -, and "
            "/ for folders."
        )
    if any(map(is_too_long, parts)):
        raise MIVAError(f"The filename_prefix {shown} is too long for a file: write fewer letters.")
    if unknown := re.search("%[^%]+%", prefix):
        raise MIVAError(
            f"Nothing is known to fill in for {unknown[0]} in the filename_prefix {shown}: %year%, %month%, %day%, "
            "%hour%, %minute%, %second%, %width%, %height% and %date:yyyy-MM-dd% are."
        )
    return "/".join(parts)


def _is_no_name(part: str) -> bool:
    # Among what cannot be printed is what turns round how a name reads.
    return part[:1] in (".", "~") or part[-1:] == "." or bool(re.search('[<>:"|?*]', part)) or not part.isprintable()
