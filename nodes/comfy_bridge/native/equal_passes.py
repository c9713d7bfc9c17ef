"""Whether the passes of CFG differ in anything that is heard: where they do not, one of them serves for both."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .plan import NO_PROMPT

_TEXT = "c_crossattn"
_SHOWN = (_TEXT, "c_concat", "clip_fea")
"""What a network may be shown. Others, such as references, may bring places where a text is heard all the same."""
_ACT_APART = ("control", "hooks", "gligen", "mask", "default", "timestep_start", "timestep_end")
"""Keys of conditioning that acts in a way of its own."""
_ACT_ON_BOTH = ("sampler_pre_cfg_function", "sampler_post_cfg_function", "model_function_wrapper")
"""Keys of options by which other nodes tell the passes apart."""
_OF_LAYERS = "forward_timestep_embed_patch"
"""The only patch that is not told which pass it is in: it runs layers of others, such as motion modules."""


def passes_are_equal(conds: list[Any], options: dict[str, Any], hears_text: bool) -> bool:
    """Whether the second pass of CFG would repeat the first.

    Args:
        conds: of a call of CALC_COND_BATCH: one list of conditioning for each pass, or None for no pass.
        options: its `model_options`.
        hears_text: whether a text has any effect in the passes; then they are equal only if neither has one.
    """
    if len(conds) != 2 or any(one is None or len(one) != 1 for one in conds):
        return False
    if any(options.get(name) for name in _ACT_ON_BOTH) or _is_patched(options.get("transformer_options", {})):
        return False
    (positive,), (negative,) = conds
    if any(key in cond for cond in (positive, negative) for key in _ACT_APART):
        return False
    if hears_text and not all(NO_PROMPT in cond for cond in (positive, negative)):
        return False
    shown, other = positive.get("model_conds", {}), negative.get("model_conds", {})
    if shown.keys() != other.keys() or not shown.keys() <= set(_SHOWN):
        return False
    return all(_equal(shown[name].cond, other[name].cond) for name in shown if name != _TEXT)


def _is_patched(options: dict[str, Any]) -> bool:
    """Whether patches of other nodes, which are told which pass they are in, may act in one alone."""
    patches = {name: one for name, one in options.get("patches", {}).items() if name != _OF_LAYERS}
    return any(patches.values()) or any(options.get("patches_replace", {}).values())


def _equal(one: Any, other: Any) -> bool:
    return one is other or (isinstance(one, Tensor) and isinstance(other, Tensor) and torch.equal(one, other))
