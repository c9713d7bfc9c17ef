"""The clips that a base makes of one picture, so that what is said of a part of it does not leak into the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..bases.base import Base
from ..bases.guide import Guide, GuideKind
from ..errors import MIVAError
from .captions import caption
from .conditioning import Conditioning
from .motion import Motion, adapters_among, said_among
from .said import Said


@dataclass(frozen=True, eq=False)
class Row:
    """One of the clips that a base makes of a picture.

    Attributes:
        said: what is said to it, by name.
        motions: the adapters that act on it, by name.
        masked: the name of the motion whose mask guides it; None where the picture's depth does, or nothing.
        whole: whether it moves the whole picture; the others are there for what their mask marks alone.
    """

    said: Mapping[str, Said]
    motions: Mapping[str, Motion]
    masked: str | None = None
    whole: bool = True

    def guide(self, conditioning: Conditioning) -> tuple[Tensor, GuideKind]:
        """What guides it, (h, w), and what that is."""
        if self.masked is not None:
            return conditioning.masks[self.masked], "mask"
        if self.whole and conditioning.nearness is not None:
            return conditioning.nearness, "nearness"
        return torch.zeros(conditioning.picture.shape[:2]), ""


def layer_rows(motions: Mapping[str, Motion | Said]) -> list[Row]:
    """One clip for all that moves without a mask, and one for each motion with one.

    Those adapters that make masks of their own, as mask streams, and are guided by none, share a clip: their masks keep
    them apart.

    Args:
        motions: by name.

    Returns:
        In an order in which those with the same adapters follow each other; the one without masks is the first.
    """
    said, adapters = said_among(motions), adapters_among(motions)
    guided = [name for name, one in adapters.items() if one.adapter.config.guide == "mask"]
    streams = {name: one for name, one in adapters.items() if one.adapter.config.mask and name not in guided}
    whole = Row(
        {name: one for name, one in said.items() if one.mask is None},
        {name: one for name, one in adapters.items() if name not in (*guided, *streams)},
    )
    rows = [whole]
    for name, one in motions.items():
        if isinstance(one, Said) and one.mask is not None:
            rows.append(Row({name: one}, {}, name, whole=False))
        elif isinstance(one, Motion) and name in guided:
            rows.append(Row({}, {name: one}, name, whole=False))
    rows += [Row({}, streams, whole=False)] if streams else []
    return [row for group in together(rows) for row in group]


def apart_rows(motions: Mapping[str, Motion | Said]) -> tuple[Row, ...]:
    """The clips of a base that answers a flow as a whole: one for what moves the ground, one for masked subjects.

    At full size each layer moves by itself, but together a camera takes subjects along in part only, and wavers with
    their jumps.

    Args:
        motions: by name, none of which is said.
    """
    adapters = adapters_among(motions)
    ground = {name: motion for name, motion in adapters.items() if motion.mask is None}
    subjects = {name: motion for name, motion in adapters.items() if motion.mask is not None}
    if not all(any(motion.acts for motion in some.values()) for some in (ground, subjects)):
        return (Row({}, adapters),)
    return Row({}, ground), Row({}, subjects, whole=False)


def painted_row(motions: Mapping[str, Motion | Said]) -> Row:
    """The one clip that a base paints, with all motions.

    Args:
        motions: by name.

    Raises:
        MIVAError: several of them have a mask to be guided by.
    """
    said, adapters = said_among(motions), adapters_among(motions)
    guiding = [name for name, one in said.items() if one.mask is not None]
    guiding += [name for name, one in adapters.items() if one.adapter.config.guide == "mask" and one.mask is not None]
    if len(guiding) > 1:
        raise MIVAError(
            f"A clip that the base paints is guided by one mask, but {' and '.join(guiding)} each have one: leave "
            "`render` 'latents' out, or take one motion at a time."
        )
    return Row(said, adapters, guiding[0] if guiding else None)


def together(rows: Sequence[Row]) -> list[list[Row]]:
    """Group rows by the adapters that act on them: those of one group can be made in one batch."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.motions), []).append(row)
    return list(groups.values())


def captions(base: Base, rows: Sequence[Row], shares: Sequence[float]) -> Tensor:
    """Build the captions of rows.

    Args:
        base: that of the run, which has a caption.
        rows: of one batch.
        shares: of the clip at its frames.

    Returns:
        (B, F, slots, dim)
    """
    return torch.stack([caption(base, row.said, shares) for row in rows])


def guides(rows: Sequence[Row], conditioning: Conditioning) -> Guide | None:
    """What guides rows; None where nothing does."""
    maps, kinds = zip(*(row.guide(conditioning) for row in rows), strict=True)
    return Guide(torch.stack(maps), kinds) if any(kinds) else None
