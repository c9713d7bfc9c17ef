"""What artists do with the nodes, in a line each, on pictures and clips that take no time."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from comfy_api.v0_0_2 import io
from comfyui_miva.nodes import (
    MIVAApply,
    MIVABindMask,
    MIVACameraClips,
    MIVADataset,
    MIVADCTInitNoise,
    MIVALoad,
    MIVALoadBase,
    MIVAMasks,
    MIVAMeasureMotion,
    MIVAMotionModule,
    MIVASampler,
    MIVASave,
    MIVAStrength,
    MIVASubjectMask,
    MIVATrain,
    MIVATransferMotion,
)
from fake_comfyui import FakeComfyUI
from fake_native import UNetModel, Vae, sd15, wan
from node_runs import run, run_unchecked
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from miva_core import MIVAAdapter, MIVAConfig
from miva_core.adapters.backbone import Backbone
from miva_core.bases.animatediff.sites import Level, unet_backbone
from miva_core.bases.describe import describe
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.bases.wan.loading import meta_transformer
from miva_core.bases.wan.sites import wan_backbone

DEMO = "drawn shapes (built-in demo)"
COLOURS = "by colours, without a model"


def picture(height: int = 64, width: int = 64, count: int = 1) -> Tensor:
    """IMAGE (count, height, width, 3), alike for every size."""
    return torch.rand(count, height, width, 3, generator=torch.Generator().manual_seed(0))


def mask(height: int = 64, width: int = 64, count: int = 1, share: float = 0.5) -> Tensor:
    """MASK (count, height, width), white on a share of it from the left."""
    made = torch.zeros(count, height, width)
    made[:, :, : int(share * width)] = 1
    return made


def panned(count: int = 4, height: int = 64, width: int = 64) -> Tensor:
    """IMAGE (count, height, width, 3), a clip that can be followed: a soft picture passes by."""
    coarse = torch.rand(1, 3, height // 8, width // 8 + 2, generator=torch.Generator().manual_seed(1))
    soft = torch.nn.functional.interpolate(coarse, size=(height, width + 16), mode="bicubic").clamp(0, 1)
    return torch.stack([soft[0, :, :, 2 * k : 2 * k + width].permute(1, 2, 0) for k in range(count)])


class GivenNoise:
    """A NOISE of another pack, which gives what it likes."""

    seed = 0

    def __init__(self, *shape: int) -> None:
        self._shape = shape

    def generate_noise(self, input_latent: dict[str, Tensor]) -> Tensor:
        return torch.zeros(self._shape)


class FullCard:
    """A codec on a graphics card that has no memory left."""

    def encode(self, pictures: Tensor) -> Tensor:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")


class Artist:
    """
    Args:
        model: MIVA_MODEL, the built-in base. quick: the same for clips of four frames, to learn with.
    """

    def __init__(self, comfyui: FakeComfyUI, model: Any, quick: Any) -> None:
        self.comfyui, self.model, self.quick = comfyui, model, quick

    def named(self, name: str, **changes: Any) -> Any:
        """MIVA_MODEL: the built-in base as if it were another."""
        return replace(self.model, base=replace(self.model.base, name=name, **changes))

    def with_memory(self, free: int) -> "Artist":
        """The same on a computer with so many bytes left."""
        self.comfyui.free_memory = free
        return self

    def base(self, base: str, **files: str) -> io.NodeOutput:
        return run_unchecked(MIVALoadBase, base={"base": base, **files})

    def load(self, name: str, **settings: Any) -> io.NodeOutput:
        return run_unchecked(MIVALoad, miva_name=name, **settings)

    def strength(self, frames: Any = "constant", steps: Any = "constant", **settings: Any) -> io.NodeOutput:
        """From Strength over Time: of a dict its first value is what is chosen in the menu."""
        menus = {}
        for name, chosen in (("over_frames", frames), ("over_steps", steps)):
            below = {"how": chosen} if isinstance(chosen, str) else chosen
            menus[name] = {name if key == "how" else key: value for key, value in below.items()}
        return run_unchecked(MIVAStrength, **menus, **settings)

    def transfer(self, frames: Tensor, image: Tensor | None = None, **settings: Any) -> io.NodeOutput:
        shown = picture() if image is None else image
        return run_unchecked(MIVATransferMotion, frames=frames, picture=shown, **settings)

    def bind(self, mivas: Any, mask: Tensor, **edits: int) -> io.NodeOutput:
        return run(MIVABindMask, mivas=mivas, mask=mask, **edits)

    def sample(self, mivas: Any = (), image: Tensor | None = None, **settings: Any) -> io.NodeOutput:
        shown = picture() if image is None else image
        # The camera looks beyond the edge, so that there is no note of what it leaves out.
        usual = {"model": self.model, "image": shown, "steps": 1, "frames": 2, "edges": "mirror"}
        return run(MIVASampler, mivas=mivas, **usual | settings)

    def apply(self, mivas: Any = None, **settings: Any) -> io.NodeOutput:
        """On a small Wan, with one of its motions, unless something else is asked for."""
        mivas = self.of_wan("horse") if mivas is None else mivas
        usual = {"model": wan(), "vae": Vae(16), "image": picture(), "width": 64, "height": 64, "length": 9}
        usual |= {"width": 0, "height": 0} if "previous" in settings else {}
        return run_unchecked(MIVAApply, mivas=mivas, **usual | settings)

    def motion_module(self, name: str) -> io.NodeOutput:
        return run_unchecked(MIVAMotionModule, model=sd15(frames=None), motion_module=name)

    def masks(self, latent: Any) -> io.NodeOutput:
        return run_unchecked(MIVAMasks, latent=latent)

    def measure(self, frames: Tensor, **connected: Any) -> io.NodeOutput:
        return run(MIVAMeasureMotion, frames=frames, **connected)

    def noise(self, model: Any, **settings: Any) -> Any:
        """NOISE, from DCTInit Noise."""
        return run(MIVADCTInitNoise, model=model, image=picture(), **settings)[0]

    def find(self, method: Mapping[str, Any], image: Tensor | None = None, **settings: Any) -> io.NodeOutput:
        shown = picture(96, 96) if image is None else image
        return run_unchecked(MIVASubjectMask, image=shown, method={"segmenter": DEMO, **method}, **settings)

    def words(self, prompt: str, detector: str = DEMO, **settings: Any) -> io.NodeOutput:
        return self.find({"method": "words", "prompt": prompt, "detector": detector}, **settings)

    def box(self, box: str, segmenter: str = DEMO, **settings: Any) -> io.NodeOutput:
        return self.find({"method": "box", "box": box, "segmenter": segmenter}, **settings)

    def points(self, points: str) -> io.NodeOutput:
        return self.find({"method": "points", "points": points})

    def drawn(self, drawn: Tensor, segmenter: str = DEMO, **settings: Any) -> io.NodeOutput:
        return self.find({"method": "drawn mask", "drawn": drawn, "segmenter": segmenter}, **settings)

    def film(self, **stills: Any) -> io.NodeOutput:
        return run_unchecked(MIVACameraClips, model=self.quick, stills=stills, motion="pan-left")

    def clips(self, videos: Sequence[Tensor] = (), masks: Sequence[Tensor] = (), fps: float = 0.0) -> io.NodeOutput:
        connected = {"masks": list(masks)} if masks else {}
        chosen = {"clips": "connected", "videos": list(videos) or [picture(count=4)] * 3, "fps": fps, **connected}
        return run(MIVADataset, model=self.quick, clips=chosen)

    def clips_in(self, folder: str) -> io.NodeOutput:
        return run_unchecked(MIVADataset, model=self.quick, clips={"clips": "folder", "folder": folder})

    def learn(self, dataset: io.NodeOutput, **settings: Any) -> io.NodeOutput:
        return run(MIVATrain, dataset=dataset[0], **{"model": self.quick, "steps": 1} | settings)

    def save(self, mivas: Any, prefix: str) -> io.NodeOutput:
        return run(MIVASave, mivas=mivas, filename_prefix=prefix)

    def pictures_in(self, folder: str, count: int) -> str:
        """A folder in the input folder, with so many pictures."""
        (self.comfyui.input / folder).mkdir()
        for k in range(count):
            Image.new("RGB", (64, 64)).save(self.comfyui.input / folder / f"{k}.png")
        return folder

    def with_files(self, folder: str, *names: str) -> str:
        """A folder in the input folder, into which files of these names were put."""
        for name in names:
            (self.comfyui.input / folder / name).write_bytes(b"?")
        return folder

    def frames_in(self, folder: str, clips: Sequence[str]) -> str:
        """A folder in the input folder, with clips of four white frames each."""
        for clip in clips:
            (self.comfyui.input / folder / clip).mkdir(parents=True)
            for k in range(4):
                Image.new("RGB", (64, 64), "white").save(self.comfyui.input / folder / clip / f"{k}.png")
        return folder

    def barred(self, folder: Path) -> str:
        """A name, for what cannot be written: a file stands where its folder should be."""
        if folder.exists():
            folder.rmdir()
        folder.touch()
        return "mine"

    def lora(self) -> str:
        """The name of a LoRA that was put into the folder of motions."""
        tensors = {f"lora_unet_down.{part}.weight": torch.zeros(2, 2) for part in ("lora_down", "lora_up")}
        save_file(tensors, self.comfyui.models / "miva" / "lora.safetensors")
        return "lora.safetensors"

    def changed(self, name: str, **header: Any) -> str:
        """The name of a motion whose header says something else."""
        source = SHIPPED / "jump.safetensors"
        with safe_open(source, framework="pt") as file:
            said = json.loads(file.metadata()["miva"]) | header
        save_file(load_file(source), self.comfyui.models / "miva" / name, {"miva": json.dumps(said)})
        return name

    def of_wan(self, name: str, masked: bool = False, **settings: Any) -> Any:
        """MIVA_STACK: a motion for the small Wan that tests have."""
        return self._made(name, wan_backbone(8, 2, 2, 16), masked, settings)

    def of_sd15(self, name: str, **settings: Any) -> Any:
        """MIVA_STACK: a motion for the small Stable Diffusion 1.5 that tests have, with a motion module."""
        levels = [Level(width, UNetModel.heads, attends=k < 3) for k, width in enumerate(UNetModel.widths)]
        return self._made(name, unet_backbone(levels, middle_motion=False), False, settings)

    def _made(self, name: str, backbone: Backbone, masked: bool, settings: Mapping[str, Any]) -> Any:
        adapter = MIVAAdapter(backbone, replace(MIVAConfig.default(), cfa_rank=2, ca_rank=2, ta_rank=2, mask=masked))
        path = self.comfyui.models / "miva" / f"{name}.safetensors"
        adapter.save(path, adapter.info(motion=name, frames=9, size=(64, 64), fps=8.0))
        return self.load(path.name, **settings)[0]

    def for_wan(self) -> Any:
        """MIVA_STACK: a motion that was trained on Wan."""
        backbone = describe(meta_transformer())
        changed = self.changed("horse.safetensors", family=backbone.family, fingerprint=backbone.fingerprint)
        return self.load(changed)[0]

    def deleted(self) -> Any:
        """MIVA_STACK: a motion whose file was deleted after it was chosen."""
        path: Path = self.comfyui.add("miva", "mine.safetensors", SHIPPED / "jump.safetensors")
        mivas = self.load("mine.safetensors")[0]
        path.unlink()
        return mivas


class Mistake(NamedTuple):
    """
    Attributes:
        what: an artist did. do: it again.
        error: the message of the exception, where the node stops.
        note: the text that stands on the node, where it does not.
    """

    what: str
    do: Callable[[Artist], io.NodeOutput]
    error: str = ""
    note: str = ""
