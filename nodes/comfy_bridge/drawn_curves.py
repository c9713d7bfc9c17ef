"""Curves that artists draw on a node: ComfyUI's own, in versions that have them."""

from typing import Any

from ...miva_core.attention.curve import Curve

_PARTS = 64


def draws_curves() -> bool:
    """Whether this ComfyUI has curves that are drawn on nodes."""
    try:
        from comfy_api.input import CurveInput  # noqa: F401
    except ImportError:
        return False
    return True


def drawn_curve(drawn: Any) -> Curve:
    """Turn a curve of ComfyUI's into one of ours, over the steps.

    Args:
        drawn: a CURVE, or what its widget says of one.

    Returns:
        Straight lines between points so dense that nobody sees them; exact where the curve is of straight lines.
    """
    from comfy_api.input import CurveInput

    curve = CurveInput.from_raw(drawn)
    shares = {k / _PARTS for k in range(_PARTS + 1)} | {float(share) for share, _ in curve.points if 0 <= share <= 1}
    return Curve(tuple((share, float(curve.interp(share))) for share in sorted(shares)))
