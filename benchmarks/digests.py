"""Does a change of the code leave every result as it was, digit for digit?

    OMP_NUM_THREADS=1 python -m benchmarks.digests [NAME …] > before.txt

Makes some runs of everything that gives a result: clips and masks of all bases as their networks paint them, by the
latent route, training, conversion, measures, the commands and the sampler's node. Prints a digest of each: of tensors
by their bytes, of videos by their decoded frames, of adapter files by their tensors and header. Run it before and after
a change that is to change nothing, on the same machine with the same versions, and compare. Digests of other machines
differ, since they round in other ways.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import torch
from diffusers import DDPMScheduler, UniPCMultistepScheduler
from safetensors import safe_open
from torch import Tensor, nn

from benchmarks import small_bases as small
from benchmarks.mask_stopping import stopped_masks
from miva_core import (
    Clip,
    MIVAAdapter,
    MIVAConfig,
    Motion,
    NoiseInit,
    Progress,
    RunOptions,
    animate,
    describe,
    inject,
    load_base,
)
from miva_core.bases.base import Base
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.cli.main import main as command_line
from miva_core.clips.files import read_clips
from miva_core.clips.training_clip import ClipSpec
from miva_core.convert.official import convert_official
from miva_core.measure.clip_motion import measure_motion
from miva_core.measure.evaluation import evaluate
from miva_core.training.recipes import recipe
from miva_core.training.run import train_and_save
from miva_core.training.training_set import TrainingSet

Result = Tensor | str | Path
"""A tensor, a text, or a file, which is digested by what is in it."""
Results = Mapping[str, Result]

SHAPES = Path(__file__).parents[1] / "miva_core/subject_mask/shapes"
PICTURES = Path(__file__).parents[1] / "workflows/pictures"
SHORT = {"steps": 3, "frames": 6, "seed": 7}
QUICK = RunOptions(**SHORT, render="latents")


def digest(result: Result) -> str:
    sha = hashlib.sha256()
    for part in parts_of(result):
        sha.update(part)
    return sha.hexdigest()[:16]


def parts_of(result: Result) -> Iterator[bytes]:
    """What two results have in common if they are equal."""
    if isinstance(result, str):
        yield result.encode()
    elif isinstance(result, Tensor):
        yield f"{tuple(result.shape)} {result.dtype}".encode()
        yield result.detach().cpu().contiguous().numpy().tobytes()
    elif result.suffix == ".safetensors":
        yield from parts_of_weights(result)
    elif result.suffix == ".mp4":
        yield from parts_of_video(result)
    else:
        yield result.read_bytes()


def parts_of_weights(path: Path) -> Iterator[bytes]:
    """Tensors by name, and of an adapter all that its header says, in no order."""
    with safe_open(path, framework="pt") as file:
        header = json.loads((file.metadata() or {}).get("miva", "{}"))
        yield json.dumps(header, sort_keys=True).encode()
        for name in sorted(file.keys()):
            yield name.encode()
            yield from parts_of(file.get_tensor(name))


def parts_of_video(path: Path) -> Iterator[bytes]:
    """Decoded frames and when they are shown; what encoders write about themselves is left out."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield f"{frame.time}".encode()
            yield frame.to_ndarray(format="rgb24").tobytes()


class LosslessOutput:
    """A video file that is being written, with x264 told to lose nothing.

    What x264 loses differs from run to run on the very same frames.
    """

    def __init__(self, container: Any) -> None:
        self._container = container

    def __enter__(self) -> "LosslessOutput":
        return self

    def __exit__(self, *error: object) -> None:
        self._container.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_stream(self, codec: str, rate: Any, options: Mapping[str, str]) -> Any:
        return self._container.add_stream(codec, rate=rate, options={**options, "crf": "0"})


@contextlib.contextmanager
def lossless_videos() -> Iterator[None]:
    """Whatever is written by PyAV meanwhile keeps its frames."""
    plain = av.open

    def opened(path: Any, mode: str = "r", **options: Any) -> Any:
        container = plain(path, mode, **options)
        return LosslessOutput(container) if mode == "w" else container

    with patch("av.open", opened):
        yield


# --- the built-in base -----------------------------------------------------------------------------------------------


@cache
def tiny() -> Base:
    return load_base("tiny")


def shipped(name: str, strength: float = 1.0, mask: Tensor | None = None, **options: Any) -> Motion:
    """A motion that comes with the package."""
    return Motion(MIVAAdapter.load(SHIPPED / f"{name}.safetensors", tiny().backbone), strength, mask, name, **options)


def of_clip(clip: Clip) -> Results:
    """Frames, and masks by name."""
    return {"frames": clip.frames, **{f"mask of {name}": mask for name, mask in clip.masks.items()}}


def plain() -> Results:
    """A shipped adapter, and the base alone."""
    still = small.picture("plain")
    one = animate(tiny(), still, [shipped("pan_left")], RunOptions(render="latents"))
    alone = animate(tiny().with_drawn_caption(3), still, [], QUICK)
    return {"one adapter": one.frames, "no adapter": alone.frames, "rate": f"{one.fps}"}


def two_weighted() -> Results:
    """Weights that sum to 1, and ones that leave something to the base."""
    still = small.picture("two")
    whole = animate(tiny(), still, [shipped("zoom_in", 0.3), shipped("jump", 0.7)], QUICK)
    part = animate(tiny(), still, [shipped("roll_cw", 0.5), shipped("pan_up", -0.2)], QUICK)
    return {"all": whole.frames, "part": part.frames}


def spans() -> Results:
    """Adapters that act in turn, one of them stronger from the second step on; what was predicted on the way."""
    predicted: list[Tensor] = []

    def strengthen(progress: Progress) -> None:
        predicted.append(torch.stack([progress.preview(frame) for frame in range(progress.frames)]))
        progress.miva.set_weights(rise=1.3)

    motions = [shipped("rise", 0.6, span=(0.0, 0.7)), shipped("pan_right", 0.8, span=(0.5, 1.0))]
    clip = animate(tiny(), small.picture("spans"), motions, replace(QUICK, steps=4), strengthen)
    return {"frames": clip.frames, "previews": torch.stack(predicted)}


def masked() -> Results:
    """One masked adapter, with the base's own way of reading masks."""
    jump = shipped("jump_masked", mask=small.square(96, 96, 0.3, 0.25))
    return of_clip(animate(tiny(), small.picture("masked"), [jump], QUICK))


def two_masked() -> Results:
    """Two masked adapters whose subjects overlap, and a plain one; masks read in the other way, and stopped early."""
    chosen = [
        shipped("jump_masked", mask=small.square(96, 96, 0.3, 0.2)),
        shipped("pan_left", 0.5),
        shipped("sway_masked", mask=small.square(96, 96, 0.45, 0.4)),
    ]
    still = small.picture("two masked")
    linear = animate(tiny(), still, chosen, replace(QUICK, readout="linear"))
    with stopped_masks(0.5):
        stopped = animate(tiny(), still, chosen, replace(QUICK, steps=5))
    return {**of_clip(linear), **{f"stopped {name}": result for name, result in of_clip(stopped).items()}}


def sizes() -> Results:
    """A large oblong picture, a clip of another shape and length, and the same of a masked adapter."""
    still, sway = small.picture("sizes", 300, 520), shipped("sway_masked", mask=small.square(300, 520, 0.2, 0.5))
    options = replace(QUICK, size=(48, 96), frames=9)
    oblong = animate(tiny(), still, [shipped("zoom_out")], options)
    subject = animate(tiny(), still, [sway], options)
    return {**of_clip(oblong), **{f"masked {name}": result for name, result in of_clip(subject).items()}}


def schedulers() -> Results:
    """Schedulers of diffusers in place of the base's own; one of them draws noise at each step."""
    still, chosen, config = small.picture("schedulers"), [shipped("roll_ccw")], tiny().scheduler.config
    return {
        kind.__name__: animate(tiny(), still, chosen, replace(QUICK, scheduler=kind.from_config(config))).frames
        for kind in (UniPCMultistepScheduler, DDPMScheduler)
    }


def levels_and_noise() -> Results:
    """Noise levels, start noise and the end of a run as the user wants them."""
    still, chosen = small.picture("levels"), [shipped("pan_down")]
    begun = small.drawn("start", *tiny().latent_shape(6, tiny().size))
    noise = NoiseInit(shared_ratio=0.2, strength=0.4, cutoff=0.5, shape="tri", low_band="shared")
    plain, levels = NoiseInit(shared_ratio=0, dct=False), torch.tensor([14.6, 5.0, 1.5, 0.4, 0.0])
    return {
        "levels": animate(tiny(), still, chosen, RunOptions(sigmas=levels, frames=6, seed=1, render="latents")).frames,
        "noise": animate(tiny(), still, chosen, replace(QUICK, noise=noise)).frames,
        "plain noise": animate(tiny(), still, chosen, replace(QUICK, noise=plain)).frames,
        "adain": animate(tiny(), still, chosen, replace(QUICK, adain=not tiny().adain)).frames,
        "start": animate(tiny(), still, chosen, replace(QUICK, start=begun)).frames,
    }


# --- other bases -----------------------------------------------------------------------------------------------------


def animatediff() -> Results:
    """A thin Stable Diffusion 1.5 with motion modules, from files: the default and the official structure, masks."""
    base = small.animatediff_base(Path())
    adapter = partial(small.random_adapter, base.backbone)
    plain = Motion(adapter(MIVAConfig.default(), Path("a.safetensors")), 0.6, name="a")
    official = Motion(adapter(MIVAConfig.official_animatediff(), Path("b.safetensors")), 0.5, name="b")
    config = replace(MIVAConfig.official_animatediff(), mask=True)
    subject = Motion(adapter(config, Path("c.safetensors")), mask=small.square(80, 120, 0.2, 0.3), name="c")
    return run_base(base, {"two": [plain, official], "masked": [plain, subject]}, frames=5)


def wan() -> Results:
    """A Wan of a single block, from files: the default and the official structure, masks."""
    base = small.wan_base(Path())
    adapter = partial(small.random_adapter, base.backbone)
    plain = Motion(adapter(MIVAConfig.default(), Path("a.safetensors")), 0.6, name="a")
    official = Motion(adapter(MIVAConfig.official_wan(), Path("b.safetensors")), 0.5, name="b")
    mask = small.square(80, 120, 0.2, 0.3)
    subject = Motion(adapter(MIVAConfig(mask=True), Path("c.safetensors")), mask=mask, name="c")
    return run_base(base, {"two": [plain, official], "masked": [subject]}, frames=9)


def run_base(base: Base, runs: Mapping[str, Sequence[Motion]], frames: int) -> Results:
    """Clips of a base by sets of motions; and what its autoencoder makes."""
    still = small.picture(base.name, 80, 120)
    mean, std = base.encode_clip(torch.stack([still[:64, :64].movedim(-1, 0).roll(i, 2) for i in range(frames)]))
    results: dict[str, Result] = {"encoded mean": mean, "encoded deviation": std}
    for name, motions in runs.items():
        clip = animate(base, still, motions, RunOptions(size=(48, 64), steps=2, frames=frames, seed=2))
        results |= {f"{name} {part}": result for part, result in of_clip(clip).items()}
    return results


def injection() -> Results:
    """Single passes through small models with adapters of every structure in them, without and with masks."""
    ranks = {"cfa_rank": 3, "ca_rank": 4, "ta_rank": 2}
    configs = {
        "default": MIVAConfig(**ranks),
        "joint": MIVAConfig(**ranks, cfa_softmax="joint"),
        "paper": replace(MIVAConfig.paper(), **ranks),
        "masked": MIVAConfig(**ranks, mask=True),
        "unguided": MIVAConfig(**ranks, mask=True, image_guidance=False),
    }
    of_unet = passes(small.tiny_unet(), configs | {"official": MIVAConfig.official_animatediff()}, text_rows=3)
    of_wan = passes(small.tiny_wan(), configs | {"official": MIVAConfig.official_wan()}, text_rows=1)
    return {**{f"U-Net {key}": out for key, out in of_unet}, **{f"Wan {key}": out for key, out in of_wan}}


@torch.no_grad()
def passes(model: nn.Module, configs: Mapping[str, MIVAConfig], text_rows: int) -> Iterator[tuple[str, Tensor]]:
    """Outputs of a model: bare, with adapters, with the mask streams of some, and guided by masks."""
    latents, text = small.drawn("latents", 1, 4, 3, 8, 8), small.drawn("text", text_rows, 5, 16)
    backbone = describe(model)
    adapters = {
        name: small.random_adapter(backbone, config, Path(f"{name}.safetensors")) for name, config in configs.items()
    }

    def call(rows: int = 1) -> Tensor:
        batch = torch.cat([latents, *(small.drawn(f"stream {k}", *latents.shape) for k in range(rows - 1))])
        return model(batch, torch.full((rows,), 500), text.repeat(rows, 1, 1)).sample

    yield "bare", call()
    with inject(model, **adapters) as miva:
        miva.set_weights(default=0.3, joint=0.5, paper=-0.2, masked=0.4, unguided=0.1, official=0.7)
        yield "mixed", call()
        miva.set_spans(default=(0, 0.5), official=(0.2, 1))
        miva.set_progress(0.6, 0.6)
        yield "in part", call()
        miva.set_mask_streams(True)
        yield "streams", call(3)
        guides = {"masked": small.square(8, 8, 0, 0, 0.6), "unguided": small.square(8, 8, 0.4, 0.5, 0.5)}
        miva.set_masks({name: mask.expand(1, 3, -1, -1) * 0.9 for name, mask in guides.items()})
        yield "guided", call(3)
    yield "removed", call()


# --- training --------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    """What a command that ends well prints, but for bars and warnings."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = command_line(arguments)
    if code:
        raise RuntimeError(f"{' '.join(arguments)} ends with {code}.")
    return printed.getvalue()


TRAINING = ("--batch", "1", "--save-every", "2", "--sample-every", "3", "--device", "cpu")


def training() -> Results:
    """Three steps by the command; then the same, stopped after the second, and gone on with by the command."""
    small.write_clips(Path("clips"))
    out, whole, state = Path("slide.safetensors"), Path("whole.safetensors"), Path("state.safetensors")
    command = ("train", "clips", "--out", out.name, "--steps", "3", *TRAINING)
    output = run(*command)
    out.rename(whole)
    out.with_suffix(".training").rename("whole.training")
    stop_after(2, Path("clips"), out)
    shutil.copy(out.with_suffix(".training") / "checkpoint.safetensors", state)
    run(*command, "--resume")
    samples = Path("whole.training/samples_000003.png")
    return {"adapter": whole, "resumed": out, "state": state, "samples": samples, "told": output}


def stop_after(step: int, clips: Path, out: Path) -> None:
    """The training of the command, stopped."""
    done: list[int] = []
    train_and_save(
        tiny(),
        training_set(tiny(), clips, out.stem, flip=True),
        replace(recipe("tiny"), steps=3, batch=1),
        out,
        callback=lambda progress: done.append(progress.step),
        # Asked before the step is reported.
        stop=lambda: step - 1 in done,
    )


def training_set(base: Base, clips: Path, motion: str, masked: bool = False, flip: bool = False) -> TrainingSet:
    read = read_clips(clips, ClipSpec(base.size, base.frames, base.fps), int(masked))
    return TrainingSet(motion, read, masked=masked, flip=flip)


def masked_training() -> Results:
    """Two masked motions that learn beside each other; another that begins anew."""
    small.write_clips(Path("clips"))
    masked = ("train", "clips", "--masked", *TRAINING)
    partner = ("--from", "jump_masked", "--beside", "sway_masked", "--beside-out", "b.safetensors")
    run(*masked, *partner, "--out", "a.safetensors", "--steps", "2")
    run(*masked, "--out", "c.safetensors", "--steps", "1", "--preset", "quick", "--subject", "square")
    return {name: Path(f"{name}.safetensors") for name in "abc"}


def camera_training() -> Results:
    """A camera motion from stills."""
    small.write_picture(Path("stills/a.png"), small.picture("still", 200, 240))
    run("train", "stills", "--film", "pan-left", "--out", "pan.safetensors", "--steps", "1", *TRAINING)
    return {"adapter": Path("pan.safetensors")}


def other_training() -> Results:
    """A step of the other bases: a plain adapter on the one, a masked one on the other."""
    small.write_clips(Path("clips"))
    results = {}
    for make, masked in ((small.animatediff_base, False), (small.wan_base, True)):
        base = replace(make(Path(make.__name__)), size=(32, 48), frames=5)
        out = results[base.name] = Path(f"{base.name}.safetensors")
        chosen = replace(recipe(base.name, masked=masked), steps=1, lr=1e-2)
        train_and_save(base, training_set(base, Path("clips"), "slide", masked), chosen, out)
    return results


# --- commands --------------------------------------------------------------------------------------------------------


def conversion() -> Results:
    """Research checkpoints in the layout of the authors' code, of both bases."""
    sd15, wan21 = Path("sd15"), Path("wan21")
    small.animatediff_files(sd15)
    small.wan_files(wan21)
    torch.save(small.official_animatediff(), sd15 / "adapter.pt")
    torch.save(small.official_wan(), wan21 / "step.ckpt")
    return converted(sd15 / "adapter.pt", sd15 / "sd15.safetensors") | converted(
        wan21 / "step.ckpt", wan21 / "wan.safetensors"
    )


def converted(official: Path, checkpoint: Path) -> dict[str, Result]:
    """The adapter of a research checkpoint, and what it has no place for."""
    with small.expected_configs(checkpoint.parent):
        result = convert_official(official, checkpoint)
    path = official.with_suffix(".safetensors")
    result.adapter.save(path, result.adapter.info(motion="rain", frames=16, size=(512, 320), fps=8))
    return {official.name: path, f"{official.name}, unused": "\n".join(result.unused)}


def evaluation() -> Results:
    """The measures of a clip, and the command's table."""
    small.write_picture(Path("stills/a.png"), small.picture("measured"))
    small.write_picture(Path("stills/b.png"), small.picture("measured, too", 80, 120))
    output = run("evaluate", "pan_left", "--stills", "stills", "--out", "scores", "--steps", "2", "--device", "cpu")
    still, subject = small.picture("measured", 64, 64), small.square(64, 64, 0.2, 0.2, 0.5)
    frames = torch.stack([still.roll(2 * i, 1) for i in range(5)])
    motion = measure_motion(frames, subject.expand(5, -1, -1))
    numbers = evaluate(frames, still, motion, dino=lambda frames: frames.flatten(1))
    return {
        "numbers": json.dumps(numbers, sort_keys=True),
        "table": Path("scores/evaluation.md"),
        "sheet": Path("scores/evaluation_sheet.png"),
        "told": output,
    }


def animate_command() -> Results:
    """The command that animates, with all it writes."""
    small.write_picture(Path("photo.png"), small.picture("photo", 150, 220))
    small.write_picture(Path("subject.png"), small.square(150, 220, 0.3, 0.25))
    common = ("--steps", "2", "--frames", "6", "--device", "cpu", "--render", "latents")
    subject = ("--miva", "jump_masked", "--mask", "jump_masked=subject.png", "--save-masks", "--sheet", "sheet.png")
    camera = ("--miva", "zoom_in:0.5@0-0.5", "--miva", "pan_left:0.4", "--fit", "pad", "--dct-strength", "0.3")
    output = run("animate", "photo.png", *subject, *common, "--size", "96x64", "--out", "clip.mp4")
    output += run("animate", "photo.png", *camera, *common, "--adain", "--out", "camera.gif")
    output += run("animate", "photo.png", *common, "--seed", "4", "--out", "alone.webp")
    files = ("clip.mp4", "clip_jump_masked_mask.mp4", "sheet.png", "camera.gif", "alone.webp")
    return {**{name: Path(name) for name in files}, "told": output}


def motion_clips() -> Results:
    """The command that films stills."""
    small.write_picture(Path("stills/a.png"), small.picture("still", 200, 240))
    way = ("--motion", "zoom-in", "--easing", "ease-in", "--speed", "0.7", "--size", "64x48", "--frames", "6")
    output = run("motion-clips", "stills", *way, "--out", "clips")
    return {**{path.name: path for path in sorted(Path("clips").iterdir())}, "told": output}


def mask_command() -> Results:
    """The command that finds subjects: by colours, by words, and in a clip by a box."""
    small.write_picture(Path("photo.png"), small.picture("photo", 150, 220))
    small.write_clips(Path("clips"), "a", frames=4)
    models = ("--segmenter", str(SHAPES / "sam2"), "--device", "cpu")
    words = ("--prompt", "green circle.", "--detector", str(SHAPES / "grounding-dino"))
    output = run("mask", "photo.png", "--box", "40,40,125,110", "--grabcut", "--grow", "2", "--out", "cut")
    output += run("mask", str(PICTURES / "miva_shapes.jpg"), *words, *models, "--feather", "3", "--out", "words")
    output += run("mask", "clips/a", "--box", "0,6,20,26", *models, "--out", "clip")
    paths = [path for folder in ("cut", "words", "clip") for path in sorted(Path(folder).rglob("*.*"))]
    return {**{path.as_posix(): path for path in paths}, "told": output.replace(str(PICTURES), "")}


def listings() -> Results:
    """What the commands tell of adapters."""
    return {
        "list": run("list"),
        "info": run("info", str(SHIPPED / "jump_masked.safetensors")).replace(str(SHIPPED), ""),
    }


# --- the node --------------------------------------------------------------------------------------------------------


def sampler_node() -> Results:
    """MIVA Sampler above the stub of ComfyUI, which the tests have: a plain motion and a masked one."""
    fake = small.from_tests("nodes", "fake_comfyui").FakeComfyUI(Path("comfyui").absolute())
    sys.modules.update(fake.modules)
    small.from_tests("nodes", "node_pack").load_pack()
    from comfyui_miva.nodes import MIVALoadBase, MIVASampler
    from comfyui_miva.nodes.comfy_bridge import comfy_folders

    comfy_folders.register_folders()
    nodes = small.from_tests("nodes", "node_runs")
    model = nodes.run(MIVALoadBase, base={"base": "tiny (built in)"})[0]
    mivas = nodes.motion(
        "pan_left", weight=0.4, prev=nodes.bound("jump_masked", small.square(150, 220, 0.3, 0.25)[None])
    )
    still = small.picture("node", 150, 220)[None]
    output = nodes.run(MIVASampler, model=model, mivas=mivas, image=still, render="latents", **SHORT)
    return {"frames": output[0], "masks": output[1], "told": nodes.shown(output)}


RUNS: dict[str, Callable[[], Results]] = {
    "plain": plain,
    "two-weighted": two_weighted,
    "spans": spans,
    "masked": masked,
    "two-masked": two_masked,
    "sizes": sizes,
    "schedulers": schedulers,
    "levels-and-noise": levels_and_noise,
    "animatediff": animatediff,
    "wan": wan,
    "injection": injection,
    "training": training,
    "masked-training": masked_training,
    "camera-training": camera_training,
    "other-training": other_training,
    "conversion": conversion,
    "evaluation": evaluation,
    "animate-command": animate_command,
    "motion-clips": motion_clips,
    "mask-command": mask_command,
    "listings": listings,
    "sampler-node": sampler_node,
}


@contextlib.contextmanager
def empty_folder() -> Iterator[None]:
    """A folder to work in, which is removed afterwards."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        try:
            yield
        finally:
            os.chdir(before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"runs to make (default: all): {', '.join(RUNS)}")
    chosen = parser.parse_args().names or list(RUNS)
    if unknown := set(chosen) - set(RUNS):
        parser.error(f"there is no run {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in chosen:
        torch.manual_seed(0)
        with empty_folder(), lossless_videos():
            for part, result in RUNS[name]().items():
                print(f"{digest(result)}  {name}: {part}", flush=True)


if __name__ == "__main__":
    main()
