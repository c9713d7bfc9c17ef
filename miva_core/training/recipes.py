"""Which recipe a training follows."""

from ..bases.recipe import PRESETS, Preset, Recipe
from ..bases.registry import find_base
from ..errors import MIVAError


def recipe(base: str, preset: Preset = "normal", masked: bool = False) -> Recipe:
    """The recipe of a base.

    Args:
        base: `Base.name`.
        preset: "paper" is the paper's learning rate, 1e-5, for its 15 000 steps, for Wan 8 000 (section 4). "normal"
            and "quick" take larger rates for fewer steps.
        masked: whether the adapter generates its subject's mask (3.4).

    Raises:
        MIVAError: an unknown base or preset.
    """
    recipes = find_base(base).recipes
    if preset not in PRESETS:
        raise MIVAError(f"There is no preset {preset!r}; known are {', '.join(PRESETS)}.")
    return recipes[preset].with_mask() if masked else recipes[preset]


def expected_of(chosen: Recipe, base: str) -> str:
    """What to expect of a training that has fewer steps than its preset, as "25 of the 75 steps of `quick`: …".

    Args:
        chosen: the recipe that it follows.
        base: `Base.name`.

    Returns:
        Empty for a training that has all steps.
    """
    whole = recipe(base, chosen.preset).steps
    if chosen.steps >= whole:
        return ""
    expected = "a weak or smeared motion" if 2 * chosen.steps < whole else "a weaker motion than with all of them"
    return f"{chosen.steps} of the {whole} steps of `{chosen.preset}`: expect {expected}"
