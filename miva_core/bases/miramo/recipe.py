"""How adapters of the built-in MiraMo are trained: measured, see the benchmarks."""

from dataclasses import replace

from ...adapters.config import MIVAConfig
from ..recipe import Preset, Recipe

NORMAL = Recipe(
    preset="normal",
    config=replace(MIVAConfig.default(), cfa_rank=8, ca_rank=32, ta_rank=8, ta_alpha=8.0),
    steps=120,
    lr=3e-3,
    batch=2,
    cosine=True,
    beta2=0.98,
    weight_decay=0.01,
    power=0.15,
    rolled_out=0.0,
    subject=6.0,
    colours=2,
    short=3,
    checkpointing=False,
)
RECIPES: dict[Preset, Recipe] = {
    "quick": replace(NORMAL, preset="quick", steps=75),
    "normal": NORMAL,
    "paper": NORMAL.as_paper(steps=15_000),
}
