"""Which parts of the method a motion needs while it is learnt: each variant is trained by itself, all else equal.

    python -m benchmarks.ablations --work FOLDER [--pictures 40] [--seeds 3] [--out benchmarks/results]

`claims` switches parts off in adapters that were trained with them; here they were never there. The motion is pan_left,
from the clips of the shipped adapter, in half of its steps; each seed is one of a training and of the noise of its
clips. One variant is plain LoRA on the q, k, v and out matrices of all attention layers, of as many parameters.
Clips are as the network paints them, by the latent route. Training all takes about 25 minutes on one core, the clips
ten. What is in FOLDER already is taken as it is. Writes ablations.md and ablations.jpg.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from benchmarks.claims import (
    FRAMES,
    SHOWN,
    Scores,
    clips_of,
    joined,
    keep,
    kept_in,
    level_cells,
    options_parser,
    parse,
    scores,
)
from benchmarks.significance import SEEN, rule, shown_difference, verdict
from benchmarks.tiny_quality import AS_PAINTED, Ideal, camera_ideal, held_out_pictures, write_jpeg
from miva_core import MIVAAdapter, Motion, load_base
from miva_core.adapters.config import MIVAConfig
from miva_core.bases.base import Base
from miva_core.bases.recipe import Recipe
from miva_core.clips.stills import read_stills
from miva_core.filming.shooting import Shooting
from miva_core.filming.still import Still
from miva_core.media.contact_sheet import contact_sheet
from miva_core.training.denoiser import Denoiser
from miva_core.training.draws import Draws
from miva_core.training.latent_clips import Batch, LatentClip
from miva_core.training.loop import draw_step, learning_rate
from miva_core.training.loss import rolled_out_losses
from miva_core.training.recipes import recipe
from miva_core.training.step import TrainStep, noised_clips
from miva_core.training.training_set import TrainingSet, film_clips

STILLS = Path(__file__).parents[1] / "workflows/pictures/miva_stills"
MOTION, SPEED, STEPS = "pan_left", 0.9, 75
MATRICES = ["to_q", "to_k", "to_v", "to_out.0"]
Clips = Sequence[Sequence[LatentClip]]


@dataclass(frozen=True)
class Variant:
    """
    Attributes:
        claim: what the paper says of the part that is changed.
        config: the change of the structure.
        frozen: parts of the names of parameters that stay as they begin, where they do nothing.
        start: what is done to the adapter before.
    """

    name: str
    claim: str
    config: Callable[[MIVAConfig], MIVAConfig] = lambda config: config
    frozen: tuple[str, ...] = ()
    start: Callable[[MIVAAdapter], None] = lambda adapter: None


def even_gate(adapter: MIVAAdapter) -> None:
    """λ2 = λ3 = ½ at every time."""
    for name, parameter in adapter.named_parameters():
        if ".gate." in name:
            parameter.data.zero_()


VARIANTS = (
    Variant("MIVA", ""),
    Variant(
        "λ2 = λ3 = ½",
        "φ weighs the first and the previous frame by the time (3.3.1)",
        frozen=(".gate.",),
        start=even_gate,
    ),
    Variant(
        "joint softmax",
        "separate ones, Eq. 2; the released code trains joint ones",
        lambda config: replace(config, cfa_softmax="joint"),
    ),
    Variant("without cross-frame attention", "CFA keeps what is seen (3.3.1)", frozen=(".cfa.", ".gate.")),
    Variant("without the implicit prompt", "it stands for the text (3.3.2)", frozen=(".ca.",)),
    Variant("without temporal LoRA", "it makes the motion (3.3)", frozen=(".ta.",)),
)
LORA = Variant("plain LoRA", "MIVA keeps the picture, LoRA does not")


class Lora(nn.Module):
    """The base with plain LoRA on its attention, in the place of `TrainStep`."""

    def __init__(self, base: Base, parameters: int) -> None:
        super().__init__()
        self.base = replace(base, model=copy.deepcopy(base.model))
        sides = [
            module.in_features + module.out_features
            for name, module in self.base.model.named_modules()
            if any(name.endswith(f".{matrix}") for matrix in MATRICES)
        ]
        self.rank = max(1, round(parameters / sum(sides)))
        config = LoraConfig(r=self.rank, lora_alpha=self.rank, target_modules=MATRICES)
        self.model = inject_adapter_in_model(config, self.base.model)
        self._denoiser = Denoiser.of(self.base)

    @contextmanager
    def injected(self) -> Iterator[None]:
        """As `TrainStep` has it; peft's layers are in the model for good."""
        yield

    def forward(self, batch: Batch, draws: Draws) -> Tensor:
        return rolled_out_losses(self._denoiser, noised_clips(batch, 0.0), draws).mean()


def training_clips(base: Base, chosen: Recipe) -> Clips:
    shooting = Shooting(MOTION.replace("_", "-"), base.size, base.frames, speed=SPEED)
    clips, source = film_clips([Still(*read) for read in read_stills(STILLS)], shooting, 0)
    return TrainingSet(MOTION.replace("_", " "), clips, source=source).encode(base, chosen.colours, 0)


def train_variant(step: TrainStep | Lora, base: Base, clips: Clips, chosen: Recipe, seed: int) -> None:
    """Train what may be trained, as `train` does."""
    parameters = [parameter for parameter in step.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=chosen.lr, betas=(0.9, chosen.beta2), weight_decay=chosen.weight_decay)
    for k in range(chosen.steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(chosen, k)
        batch, draws = draw_step(clips, base, chosen, k, seed, 1)
        optimiser.zero_grad(set_to_none=True)
        with step.injected():
            loss = step(batch, draws)
            loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        if k % 50 == 0:
            print(f"step {k}: loss {loss.item():.4f}", flush=True)


def trained(
    variant: Variant, base: Base, chosen: Recipe, clips: Callable[[], Clips], kept: Path, seed: int
) -> MIVAAdapter:
    """The adapter of a variant, from the file if it is there."""
    torch.manual_seed(seed)
    adapter = MIVAAdapter(base.backbone, variant.config(chosen.config))
    variant.start(adapter)
    if kept.exists():
        adapter.load_state_dict(torch.load(kept, weights_only=True))
        return adapter
    for name, parameter in adapter.named_parameters():
        parameter.requires_grad_(not any(part in name for part in variant.frozen))
    with torch.enable_grad():
        train_variant(TrainStep(base, adapter, chosen), base, clips(), chosen, seed)
    keep(adapter.state_dict(), kept)
    return adapter


def trained_lora(
    base: Base, chosen: Recipe, parameters: int, clips: Callable[[], Clips], kept: Path, seed: int
) -> Lora:
    torch.manual_seed(seed)
    lora = Lora(base, parameters)
    learnt = {name: parameter for name, parameter in lora.named_parameters() if "lora_" in name}
    if kept.exists():
        lora.load_state_dict(torch.load(kept, weights_only=True), strict=False)
        return lora
    with torch.enable_grad():
        train_variant(lora, base, clips(), chosen, seed)
    keep({name: parameter.detach() for name, parameter in learnt.items()}, kept)
    return lora


class Trainings:
    """Every variant trained on a base once for each seed, and the clips of each."""

    def __init__(self, base: Base, chosen: Recipe, ideal: Ideal, seeds: int, work: Path) -> None:
        self._base, self._chosen, self._ideal, self._seeds, self._work = base, chosen, ideal, seeds, work
        self._encoded: Clips | None = None

    def _clips(self) -> Clips:
        self._encoded = self._encoded or training_clips(self._base, self._chosen)
        return self._encoded

    def adapter(self, variant: Variant, seed: int) -> MIVAAdapter:
        kept = kept_in(self._work, variant.name, seed)
        return trained(variant, self._base, self._chosen, self._clips, kept, seed)

    def of_variant(self, variant: Variant) -> tuple[int, Scores, Tensor]:
        """How many parameters are learnt, the scores (seeds, pictures), and the clips of the last seed."""
        found = []
        for seed in range(self._seeds):
            adapter = self.adapter(variant, seed)
            found.append(self._scored(self._base, [Motion(adapter)], variant.name, seed))
        learnt = sum(p.numel() for key, p in adapter.named_parameters() if not any(f in key for f in variant.frozen))
        return learnt, joined([one for one, _ in found]), found[-1][1]

    def of_lora(self, name: str, parameters: int) -> tuple[int, Scores, Tensor]:
        """The same of plain LoRA with about so many parameters."""
        found = []
        for seed in range(self._seeds):
            kept = kept_in(self._work, name, seed)
            lora = trained_lora(self._base, self._chosen, parameters, self._clips, kept, seed)
            found.append(self._scored(lora.base, [], name, seed))
        learnt = sum(p.numel() for key, p in lora.named_parameters() if "lora_" in key)
        return learnt, joined([one for one, _ in found]), found[-1][1]

    def of_nothing(self, name: str) -> tuple[Scores, Tensor]:
        """Scores and clips of the base as it is."""
        found = [self._scored(self._base, [], name, seed) for seed in range(self._seeds)]
        return joined([one for one, _ in found]), found[-1][1]

    def _scored(self, base: Base, motions: Sequence[Motion], name: str, seed: int) -> tuple[Scores, Tensor]:
        clips = clips_of(base, motions, self._ideal, seed, kept_in(self._work, name, seed, len(self._ideal.frames)))
        return scores(clips, self._ideal, MOTION), clips


HEAD = (
    "| variant | parameters learnt | right way | speed / ideal | PSNR above a still, dB "
    "| speed, against MIVA | PSNR, against MIVA, dB | the paper says | here |\n|---|---|---|---|---|---|---|---|---|"
)
RULE = (
    "Each seed is one of a training and of the noise of its clips, not of the clips that are learnt from; means ± "
    "spread over seeds, differences with their standard error over seeds and pictures. The last column goes by PSNR at "
    f"frame {FRAMES[MOTION]}: {rule(f'{SEEN:g} dB')}"
)


def variants_table(trainings: Trainings) -> tuple[list[str], list[tuple[str, Tensor]]]:
    """The table's lines, and a clip of each variant by its name."""
    lines, sheet, usual, whole = [HEAD], [], None, 0
    for variant in (*VARIANTS, LORA):
        if variant is LORA:
            learnt, found, made = trainings.of_lora(variant.name, whole)
        else:
            learnt, found, made = trainings.of_variant(variant)
        usual, whole = usual or found, whole or learnt
        cells = [
            variant.name,
            f"{learnt:,}".replace(",", " "),
            *level_cells(found),
            "" if found is usual else shown_difference(found.speed, usual.speed),
            "" if found is usual else shown_difference(found.gain, usual.gain),
            variant.claim,
            verdict(found.gain, usual.gain, adds=False) if variant.claim else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
        sheet.append((variant.name, made[SHOWN]))
    return lines, sheet


def main() -> None:
    options = parse(options_parser(__doc__))
    base, chosen = load_base("tiny"), replace(recipe("tiny"), steps=STEPS)
    ideal = camera_ideal(held_out_pictures(options.pictures), MOTION, base)
    table, sheet = variants_table(Trainings(base, chosen, ideal, options.seeds, options.work))
    lines = [
        "# The parts of the method, left out while a motion is learnt",
        f"\n`python -m benchmarks.ablations --work FOLDER`: {MOTION} on the built-in base, {STEPS} "
        f"steps; {len(ideal.frames)} held-out pictures, {options.seeds} seeds, {AS_PAINTED}. {RULE}\n",
        *table,
        "\n![a clip of each variant](ablations.jpg)",
    ]
    write_jpeg(contact_sheet([("ideal", ideal.frames[SHOWN]), *sheet], every=3), options.out / "ablations.jpg")
    (options.out / "ablations.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
