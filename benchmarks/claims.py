"""Which parts of the method earn their place, on the built-in base: each left out in turn, all else equal.

    python -m benchmarks.claims --work FOLDER [--pictures 40] [--seeds 3] [--out benchmarks/results]

Parts are switched off in the adapters as they were trained, with them: this shows what an adapter leans on, not what
one trained without that part would do. Pictures and measures are those of `tiny_quality`, clips as the network paints
them, by the latent route: the method's claims are about these. Writes claims.md, claims.jpg and claims_lambda.png.
Clips are kept in --work, so that it goes on where it was stopped; take another folder when the base or an adapter has
changed.
"""

import argparse
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from matplotlib.figure import Figure
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.significance import SEEN, rule, shown, shown_difference, verdict
from benchmarks.tiny_quality import (
    AS_PAINTED,
    SPEED,
    Ideal,
    camera_ideal,
    camera_speed,
    held_out_pictures,
    subject_ideal,
    subject_scores,
    swept,
    write_jpeg,
)
from miva_core import MIVAAdapter, Motion, RunOptions, animate, load_base
from miva_core.attention.cross_frame import reference_weights
from miva_core.attention.stacked import Gates
from miva_core.bases.base import Base
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.bases.tiny.spec import WEIGHTS as TINY_WEIGHTS
from miva_core.clips.camera import UNIT_MOVES
from miva_core.measure.metrics import clip_flow, median_flow, psnr
from miva_core.media.contact_sheet import contact_sheet
from tools.procedural.scenes import WORDS

FRAMES = {"pan_left": 8, "jump": 4}
"""Motions, and the frame at which their clips are compared with the ideal ones; a jump is back in the eighth."""
WEIGHTS = ((1.0, 0.0), (0.7, 0.3), (0.5, 0.5), (0.3, 0.7), (0.0, 1.0))
SHOWN = 3


@dataclass(frozen=True)
class Setting:
    """One change of how clips are made.

    Attributes:
        claim: what the paper says of the part that is changed.
        adapter: the change of the adapter.
        animate: what differs in the `RunOptions`.
        captioned: no adapter, but the caption that the base was trained with on clips of this motion.
        adds: what the claim is about is added here, not left out.
        by: what the claim is about, more being better.
    """

    name: str
    claim: str
    adapter: Callable[[MIVAAdapter], None] = lambda adapter: None
    animate: Callable[[Base], dict] = lambda base: {}
    captioned: bool = False
    adds: bool = False
    by: Callable[["Scores"], Tensor] = lambda scores: scores.gain


def zero(*ends: str) -> Callable[[MIVAAdapter], None]:
    """Sets the parameters whose names have one of these in them to 0."""

    def change(adapter: MIVAAdapter) -> None:
        for name, parameter in adapter.named_parameters():
            if any(end in name for end in ends):
                parameter.data.zero_()

    return change


def noise(**changed: object) -> Callable[[Base], dict]:
    return lambda base: {"noise": replace(base.noise, **changed)}


def start_settings(base: Base) -> tuple[Setting, ...]:
    """Changes of how a clip begins and ends (3.3.3), against what the base does by default."""
    adain = Setting(
        f"{'without' if base.adain else 'with'} AdaIN",
        "it keeps the colours (3.3.3)",
        animate=lambda base: {"adain": not base.adain},
        adds=not base.adain,
        by=lambda scores: -scores.drift,
    )
    return (
        Setting(
            "without shared noise", "a share of one noise makes frames alike (3.3.3)", animate=noise(shared_ratio=0.0)
        ),
        Setting("without DCTInit", "the picture's low band steadies the layout (3.3.3)", animate=noise(dct=False)),
        Setting("DCTInit, shared low band", "as Algorithm 1 writes it", animate=noise(low_band="shared"), adds=True),
        adain,
    )


PARTS = (
    Setting("λ2 = λ3 = ½", "φ weighs the first and the previous frame by the time (3.3.1)", zero(".gate.")),
    Setting("without cross-frame attention", "CFA keeps what is seen (3.3.1)", zero(".cfa.out.")),
    Setting("without the implicit prompt", "it stands for the text (3.3.2)", zero(".ca.second")),
    Setting("without temporal LoRA", "it makes the motion (3.3)", zero(".ta.")),
)
CAPTIONED = Setting("no adapter, but the base's own caption", "", captioned=True)


def captioned(base: Base, motion: str) -> Base:
    """The base under the caption of a motion, at the speed of the ideal clips."""
    vectors = load_file(TINY_WEIGHTS / "words.safetensors")["weight"].float()
    return replace(base, text=caption_of(motion, vectors))


def caption_of(motion: str, vectors: Tensor) -> Tensor:
    """The caption (1, W, D) of a motion at the speed of the ideal clips, of the vectors of all words."""
    is_camera = motion in UNIT_MOVES
    shown = (f"camera {motion}", "no subject") if is_camera else ("camera still", f"subject {motion}")
    text = torch.stack([vectors[WORDS.index(word)] for word in shown])
    text[0 if is_camera else 1] *= SPEED
    return text[None]


@dataclass(frozen=True)
class Scores:
    """Of each clip (seeds, pictures): speed / ideal speed, PSNR to the ideal at `FRAMES` above a still picture's, and
    how far its colours have drifted from the ideal clip's by the end (mean over channels, in percent of white)."""

    speed: Tensor
    gain: Tensor
    drift: Tensor


def clips_of(base: Base, motions: Sequence[Motion], ideal: Ideal, seed: int, kept: Path, **options: object) -> Tensor:
    """Clips (N, F, H, W, 3), from the file if they are kept there."""
    if kept.exists():
        return torch.load(kept, weights_only=True).float() / 255
    chosen = RunOptions(seed=seed, render="latents", **options)
    made = torch.stack([animate(base, clip[0], motions, chosen).frames for clip in ideal.frames])
    keep((made * 255).round().byte(), kept)
    return (made * 255).round() / 255


def keep(made: object, kept: Path) -> None:
    """Write what torch saves, whole or not at all."""
    torch.save(made, kept.with_suffix(".tmp"))
    kept.with_suffix(".tmp").replace(kept)


def kept_in(folder: Path, name: str, *numbers: int) -> Path:
    """The file of what has a name in a table."""
    return folder / f"{'_'.join([name.replace(' ', '_'), *map(str, numbers)])}.pt"


def scores(clips: Tensor, ideal: Ideal, motion: str) -> Scores:
    speeds, gains, drifts = [], [], []
    for k, (clip, truth) in enumerate(zip(clips, ideal.frames, strict=True)):
        if motion in UNIT_MOVES:
            speed = camera_speed(motion)
            speeds.append(speed(clip) / speed(truth))
        else:
            speeds.append(subject_scores(clip, truth, ideal.mask[k])[0])
        last = FRAMES[motion] - 1
        gains.append(psnr(clip[last], truth[last]) - psnr(truth[0], truth[last]))
        drifts.append(100 * (clip[-1].mean((0, 1)) - truth[-1].mean((0, 1))).abs().mean())
    return Scores(*(torch.tensor(values) for values in (speeds, gains, drifts)))


def all_scores(
    base: Base,
    motion: str,
    trained: MIVAAdapter,
    settings: Sequence[Setting],
    ideal: Ideal,
    seeds: int,
    work: Path,
) -> Iterator[tuple[Setting, Scores, Tensor]]:
    for setting in settings:
        adapter = copy.deepcopy(trained)
        setting.adapter(adapter)
        of_seeds = []
        chosen = captioned(base, motion) if setting.captioned else base
        motions = [] if setting.captioned else [Motion(adapter)]
        for seed in range(seeds):
            kept = kept_in(work, f"{motion}, {setting.name}", seed, len(ideal.frames))
            clips = clips_of(chosen, motions, ideal, seed, kept, **setting.animate(base))
            of_seeds.append(scores(clips, ideal, motion))
        yield setting, joined(of_seeds), clips


def joined(of_seeds: Sequence[Scores]) -> Scores:
    """The scores (pictures) of all seeds, (seeds, pictures)."""
    return Scores(*(torch.stack([getattr(one, name) for one in of_seeds]) for name in ("speed", "gain", "drift")))


def level_cells(found: Scores) -> list[str]:
    """How often the right way, speed and PSNR."""
    return [f"{(found.speed > 0).float().mean() * 100:.0f} %", shown(found.speed), shown(found.gain)]


HEAD = (
    "| setting | right way | speed / ideal | PSNR above a still, dB | colour drift, % "
    "| speed, against as trained | PSNR, against as trained, dB | the paper says | here |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def settings_table(
    base: Base,
    motion: str,
    adapter: MIVAAdapter,
    settings: Sequence[Setting],
    ideal: Ideal,
    seeds: int,
    work: Path,
) -> tuple[list[str], list[tuple[str, Tensor]]]:
    """An adapter as it was trained and under every setting: the table's lines, and a clip of each by its name."""
    lines, sheet = [HEAD], []
    usual: Scores | None = None
    for setting, found, clips in all_scores(
        base, motion, adapter, (Setting("as trained", ""), *settings), ideal, seeds, work
    ):
        usual = usual or found
        cells = [
            setting.name,
            *level_cells(found),
            shown(found.drift),
            "" if found is usual else shown_difference(found.speed, usual.speed),
            "" if found is usual else shown_difference(found.gain, usual.gain),
            setting.claim,
            verdict(setting.by(found), setting.by(usual), setting.adds) if setting.claim else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
        sheet.append((f"{motion}, {setting.name}", clips[SHOWN]))
    return lines, sheet


def parts_table(base: Base, pictures: Tensor, seeds: int, work: Path, out: Path) -> list[str]:
    lines, sheet = [], []
    settings = (*PARTS, *start_settings(base), CAPTIONED)
    for motion in FRAMES:
        is_camera = motion in UNIT_MOVES
        ideal = camera_ideal(pictures, motion, base) if is_camera else subject_ideal(pictures, motion, base)
        adapter = MIVAAdapter.load(SHIPPED / f"{motion}.safetensors", base.backbone)
        table, shown_clips = settings_table(base, motion, adapter, settings, ideal, seeds, work)
        lines += [f"\n## {motion}\n", *table]
        sheet += shown_clips
    write_jpeg(contact_sheet(sheet, every=3), out / "claims.jpg")
    return lines


def weights_table(base: Base, pictures: Tensor, seeds: int, work: Path) -> list[str]:
    """Two adapters in parallel: what each does at each pair of weights."""
    camera, subject = FRAMES
    ideal = subject_ideal(pictures, subject, base, move=camera)
    adapters = {name: MIVAAdapter.load(SHIPPED / f"{name}.safetensors", base.backbone) for name in FRAMES}
    way = -torch.tensor(UNIT_MOVES[camera].pan)
    lines = [
        f"\n## {camera} and {subject} in parallel\n",
        "| weights | background's speed along the pan / ideal | subject's own motion / ideal | both right |",
        "|---|---|---|---|",
    ]
    for pair in WEIGHTS:
        pans, moves, right = [], [], []
        for seed in range(seeds):
            kept = kept_in(work, f"pair {pair[0]:g}", seed, len(ideal.frames))
            chosen = [Motion(adapters[name], weight) for name, weight in zip(FRAMES, pair, strict=True) if weight]
            clips = clips_of(base, chosen, ideal, seed, kept)
            for clip, truth, mask in zip(clips, ideal.frames, ideal.mask, strict=True):
                area = swept(mask)
                flow, wanted = clip_flow(clip), clip_flow(truth)
                pans.append(float(median_flow(flow, ~area) @ way / (median_flow(wanted, ~area) @ way)))
                within, wanted_within = (f[:, area].mean(1) - f[:, ~area].mean(1) for f in (flow, wanted))
                moves.append(float((within * wanted_within).sum() / (wanted_within**2).sum().clamp_min(1e-6)))
                right.append(pans[-1] > 0 and moves[-1] > 0)
        pan, move = (torch.tensor(values).view(seeds, -1) for values in (pans, moves))
        both = torch.tensor(right).float().mean() * 100
        lines.append(f"| {pair[0]:g} / {pair[1]:g} | {shown(pan)} | {shown(move)} | {both:.0f} % |")
        print(lines[-1], flush=True)
    return lines


def plot_lambda(base: Base, path: Path) -> None:
    """λ2, the weight of the first frame, over the time steps, a line for each layer (Fig. 6)."""
    times = torch.arange(0, 1000, 20)
    embedding = base.model.time_embedding(base.model.time_proj(times))
    motions = [path.stem for path in sorted(SHIPPED.glob("*.safetensors"))]
    figure = Figure(figsize=(11, 2.6 * ((len(motions) + 3) // 4)), layout="constrained")
    for k, motion in enumerate(motions):
        adapter = MIVAAdapter.load(SHIPPED / f"{motion}.safetensors", base.backbone)
        axes = figure.add_subplot((len(motions) + 3) // 4, 4, k + 1, title=motion, ylim=(0, 1))
        for part in adapter.sites.values():
            if "gate" in part:
                weights = reference_weights(embedding, Gates.of([part["gate"]]), adapter.config.gate_temperature)[0]
                axes.plot(times, weights[:, 0], linewidth=1)
        axes.set_xlabel("time step")
        axes.set_ylabel("λ2")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def options_parser(summary: str) -> argparse.ArgumentParser:
    """What a benchmark is told that keeps its work."""
    parser = argparse.ArgumentParser(description=summary, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True, help="folder that clips, and what is trained, are kept in")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options as given, their folders made."""
    options = parser.parse_args()
    if options.pictures <= SHOWN:
        parser.error(f"--pictures is {options.pictures}, expected {SHOWN + 1} or more: that one is shown")
    for folder in (options.work, options.out):
        folder.mkdir(parents=True, exist_ok=True)
    return options


def main() -> None:
    options = parse(options_parser(__doc__))
    base, pictures = load_base("tiny"), held_out_pictures(options.pictures)
    plot_lambda(base, options.out / "claims_lambda.png")
    lines = [
        "# The parts of the method on the built-in base",
        f"\n`python -m benchmarks.claims --work FOLDER`: {len(pictures)} held-out pictures, {options.seeds} seeds; "
        f"{AS_PAINTED}; means over both (medians of speeds: [tiny_quality.md](tiny_quality.md)) ± spread over seeds, "
        "differences with their standard error over seeds and pictures. PSNR is that of "
        f"{' and '.join(f'frame {frame} ({motion})' for motion, frame in FRAMES.items())}. Parts are switched off in "
        "adapters that were trained with them; where they were never there stands in [ablations.md](ablations.md). The "
        f"last column goes by PSNR, for AdaIN by the drift: {rule(f'{SEEN:g} dB or percent')}\n\nThis base always saw "
        "a clean first frame, and its noise is centred on it: how much of the picture is kept says little of the "
        "method, and DCTInit has nothing left to do. Its four steps all lie where noise is strongest, so that the "
        "start noise hardly matters. The same on a base that never saw a clean first frame: [t2v_arm.md](t2v_arm.md). "
        "Elsewhere: rain, [rain.md](rain.md); how many clips and steps a motion takes, [few_shot.md](few_shot.md); "
        "masked motions against plain ones, and 8 mask steps against 50, [mask_quality.md](mask_quality.md).",
        *parts_table(base, pictures, options.seeds, options.work, options.out),
        *weights_table(base, pictures, options.seeds, options.work),
        "\n## λ2 over time steps and layers\n\n![λ2 of each shipped motion](claims_lambda.png)",
        "\n## Clips\n\n![a clip of each setting](claims.jpg)",
    ]
    (options.out / "claims.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
