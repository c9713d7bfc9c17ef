"""What makes a training this one and no other: its settings, and whether it may go on with others."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..adapters.adapter import MIVAAdapter
from ..adapters.degree import DegreeRange
from ..bases.base import Base
from ..errors import MIVAError
from .options import TrainOptions
from .recipes import Recipe
from .state import TrainingState

_MAY_CHANGE = ("steps", "lr")
_DIGESTS = ("base", "set of clips", "from", "beside")
"""Hashes: reported only as 'changed'."""


def training_settings(base: Base, recipe: Recipe, options: TrainOptions, partner: MIVAAdapter | None) -> dict[str, Any]:
    """What makes a training this one and no other.

    Args:
        base: that is trained on.
        recipe: see `recipes.recipe`.
        options: of which its seed, precision and adapter to begin with count.
        partner: see `train`.

    Returns:
        Numbers and short texts by name, as they stand in files of a training's state.
    """
    numbers = asdict(recipe)
    del numbers["config"]
    adapters = {"from": options.start, "beside": partner}
    return {
        "base": base.backbone.fingerprint,
        # Only where it says more than that, so that trainings of older versions go on.
        **({"release": base.release} if base.release else {}),
        "seed": options.seed,
        "precision": options.precision,
        "processes": int(os.environ.get("WORLD_SIZE", 1)),
        **numbers,
        **(options.start.config if options.start else recipe.config).to_dict(),
        **{name: _digest(adapter) for name, adapter in adapters.items() if adapter},
    }


def check_adapters(
    recipe: Recipe, start: MIVAAdapter | None, partner: MIVAAdapter | None, degree: DegreeRange | None
) -> None:
    """Check that what is to learn goes together.

    Args:
        recipe: see `recipes.recipe`.
        start: an adapter to begin with.
        partner: another adapter that learns, too.
        degree: what degrees mean that are to be learnt; None where none is.

    Raises:
        MIVAError: the adapter to begin with has a mask stream where the recipe has none, or the other way round; a
            degree is to be learnt by an adapter without one, or one with a degree is begun anew without what its
            degrees mean; or one of two that learn together has no mask stream.
    """
    masked = recipe.config.mask
    if start and start.config.mask != masked:
        raise MIVAError(f"The adapter to begin with {'lacks' if masked else 'has'} a mask stream: train with it alike.")
    if start and (recipe.config.degree or degree) and not start.config.degree:
        raise MIVAError("The adapter to begin with lacks a degree: begin with its `with_degree()`.")
    has_degree = start.config.degree if start else recipe.config.degree
    if has_degree and not (degree or (start and start.degree)):
        raise MIVAError(
            "A degree is to be learnt, but not said what it means: give `train` the `degree_range` of the clips, or a "
            "recipe without a degree."
        )
    if partner and not (masked and partner.config.mask):
        raise MIVAError("Only masked motions are learnt beside each other: both need a mask stream.")


def check_resume(state: TrainingState, now: Mapping[str, Any]) -> None:
    """Check that a training goes on as it was begun; only the learning rate may change, and more steps be asked for.

    Args:
        state: of the training that is to go on.
        now: its settings now, see `training_settings`.

    Raises:
        MIVAError: something else differs.
    """
    for name in sorted(state.settings.keys() | now.keys()):
        before = state.settings.get(name)
        if before != now.get(name) and name not in _MAY_CHANGE:
            raise MIVAError(
                f"This training was begun {_difference(name, before, now.get(name))}: repeat what it was begun with, "
                "or remove its folder to begin anew."
            )
    if now["steps"] < state.step:
        raise MIVAError(f"This training has done {state.step} steps already: ask for at least as many.")


def _difference(name: str, before: Any, now: Any) -> str:
    """How a setting was, in words that complete "begun …"."""
    if before in (None, "") or now in (None, ""):
        return f"with{'out' if before in (None, '') else ''} {name}"
    return f"with another {name}" if name in _DIGESTS else f"with {name} {before}, not {now}"


def _digest(adapter: MIVAAdapter) -> str:
    digest = hashlib.sha256()
    for parameter in adapter.parameters():
        digest.update(parameter.detach().float().cpu().numpy().data)
    return digest.hexdigest()[:12]
