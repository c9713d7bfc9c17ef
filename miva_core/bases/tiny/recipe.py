"""How adapters of the built-in U-Net are trained: measured, see the benchmarks."""

from dataclasses import replace

from ...adapters.config import MIVAConfig
from ..recipe import Preset, Recipe

NORMAL = Recipe(
    preset="normal",
    config=replace(MIVAConfig.default(), cfa_rank=16, ca_rank=64, ta_rank=16, ta_alpha=16.0),
    steps=300,
    lr=3e-3,
    batch=4,
    cosine=True,
    beta2=0.98,
    weight_decay=0.01,
    power=0.6,
    rolled_out=0.5,
    subject=6.0,
    colours=6,
    short=3,
    checkpointing=False,
)
RECIPES: dict[Preset, Recipe] = {
    "quick": replace(NORMAL, preset="quick", steps=75),
    "normal": NORMAL,
    "paper": NORMAL.as_paper(steps=15_000),
}
