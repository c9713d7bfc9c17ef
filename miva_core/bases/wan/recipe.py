"""How adapters of Wan are trained. "paper" is the paper's; nobody has measured "quick" and "normal" yet."""

from dataclasses import replace

from ...adapters.config import MIVAConfig
from ..recipe import Preset, Recipe

NORMAL = Recipe(
    preset="normal",
    config=MIVAConfig.default(),
    steps=6000,
    lr=3e-5,
    batch=1,
    cosine=True,
    beta2=0.999,
    weight_decay=0.0,
    power=1.0,
    rolled_out=0.0,
    subject=0.0,
    colours=1,
    short=1,
    checkpointing=True,
)
RECIPES: dict[Preset, Recipe] = {
    "quick": replace(NORMAL, preset="quick", steps=1500, lr=3 * NORMAL.lr),
    "normal": NORMAL,
    "paper": NORMAL.as_paper(steps=8_000),
}
