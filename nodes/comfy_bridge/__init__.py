"""What this pack needs of ComfyUI itself: memory, progress, previews, interruption; `comfy_folders` has the folders.

No other files touch ComfyUI's own modules. They are imported inside the functions, so that the pack loads quickly and
its tests run without ComfyUI.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ...miva_core.bases.registry import find_base
from ...miva_core.media.pixel_values import to_bytes
from ...miva_core.text.markup import as_markup
from ...miva_core.text.terminal import in_ascii

if TYPE_CHECKING:
    from ...miva_core.animation.clip import Progress
    from ...miva_core.bases.base import Base


class MIVANetwork(nn.Module):
    """Wraps a network for a ModelPatcher, which sets attributes on it; logs show the name of this class."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network


def make_patcher(network: nn.Module) -> Any:
    """Make a ModelPatcher, through which ComfyUI moves a network to the graphics card and off it again."""
    import comfy.model_management as memory
    from comfy.model_patcher import ModelPatcher

    # Not the patcher of Dynamic VRAM, which would copy what it cannot stream anew for every prompt, and never free it.
    patcher = ModelPatcher(MIVANetwork(network), memory.get_torch_device(), memory.unet_offload_device())
    # For a second graphics card ComfyUI makes whatever a MODEL needs anew. A run copies adapters there by itself.
    patcher.cached_patcher_init = (make_patcher, (nn.Module(),))
    return patcher


def load_to_device(patchers: Sequence[Any], needed: int) -> None:
    """Load networks, each as a whole, onto the device that they compute on.

    Args:
        patchers: of the networks, from `make_patcher`.
        needed: bytes that the computation will take besides their weights.
    """
    import comfy.model_management as memory

    # Outside of inference mode, since training cannot use tensors that were made in it.
    with torch.inference_mode(False):
        memory.load_models_gpu(list(patchers), memory_required=needed, force_full_load=True)
        for patcher in patchers:
            # With --novram part of it stays behind, and these networks cannot be streamed.
            if any(weight.device.type != patcher.load_device.type for weight in patcher.model.parameters()):
                patcher.detach()
                patcher.partially_load(patcher.load_device, 1e32)


def working_dtype(half: torch.dtype) -> torch.dtype:
    """The type to load a model in: `half` where the device computes in it, else float32."""
    import comfy.model_management as memory

    device = memory.get_torch_device()
    fits = memory.should_use_bf16(device) if half == torch.bfloat16 else memory.should_use_fp16(device)
    return half if fits else torch.float32


def memory_for_sampling(base: "Base", frames: int, size: tuple[int, int], streams: int = 1) -> int:
    """Estimate, on the high side, the bytes that sampling takes besides the weights, as ComfyUI does for its models.

    Args:
        base: the base that samples.
        frames: length of the clip.
        size: height and width in pixels.
        streams: number of latent clips in a batch: the clip, and one for each mask.
    """
    length, height, width = base.latent_shape(frames, size)[2:]
    itemsize = base.dtype.itemsize
    denoising = int(streams * length * height * width * itemsize * 0.01 * 2**20)
    pixels = height * width * base.scale**2
    return max(denoising, pixels * find_base(base.name).decoding_memory * itemsize)


def memory_for_training(base: "Base") -> int:
    """Estimate, on the high side, the bytes that a training step takes besides the weights."""
    return 5 * memory_for_sampling(base, base.frames, base.size)


def to_intermediate(tensor: Tensor) -> Tensor:
    """Move a result to the device where ComfyUI keeps the results of nodes."""
    import comfy.model_management as memory

    return tensor.to(memory.intermediate_device())


def free_intermediate_memory() -> int:
    """Bytes that are free where ComfyUI keeps the results of nodes."""
    import comfy.model_management as memory

    return int(memory.get_free_memory(memory.intermediate_device()))


def check_interrupted() -> None:
    """Raise ComfyUI's own exception if the user has asked to stop."""
    import comfy.model_management as memory

    memory.throw_exception_if_processing_interrupted()


class LateInterruption:
    """Holds back the user's stop until the work at hand is saved."""

    def __init__(self) -> None:
        self._caught: BaseException | None = None

    def asked(self) -> bool:
        """Whether the user has asked to stop."""
        import comfy.model_management as memory

        return self._caught is not None or memory.processing_interrupted()

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Catch ComfyUI's exception, which progress bars raise, too, and keep it for `raise_if_asked`."""
        import comfy.model_management as memory

        try:
            yield
        except memory.InterruptProcessingException as caught:
            self._caught = caught

    def raise_if_asked(self) -> None:
        """Raise the exception that was held back, or ComfyUI's own if the user has asked to stop since."""
        if self._caught:
            raise self._caught
        check_interrupted()


class ProgressBar:
    """The progress bar on a node, which can show a picture, too."""

    def __init__(self) -> None:
        import comfy.utils

        self._bar = comfy.utils.ProgressBar(1)

    def update(self, done: int, total: int, preview: Any = None) -> None:
        """Show how far the node is.

        Args:
            done: steps done so far.
            total: steps in all.
            preview: a picture from `preview_of` or a `run_previewer`, or None.
        """
        self._bar.update_absolute(done, total, preview)


def progress_callback() -> Callable[[int, int], None]:
    """Make an `on_progress(done, total)` that moves the bar on the node, and raises on the user's stop."""
    bar = ProgressBar()

    def on_progress(done: int, total: int) -> None:
        check_interrupted()
        bar.update(done, total)

    return on_progress


def show_text(text: str) -> None:
    """Show text on the node that is running.

    The frontend reads it as HTML, and up to version 1.42 runs scripts in it; with Nodes 2.0 it reads Markdown.
    """
    from comfy_execution.utils import get_executing_context
    from server import PromptServer

    context = get_executing_context()
    if context:
        PromptServer.instance.send_progress_text(as_markup(in_ascii(text)), context.node_id)


def preview_of(picture: Tensor) -> Any:
    """Turn a picture (H, W, 3) in [0, 1] into the preview that a progress bar takes."""
    from PIL import Image

    return "JPEG", Image.fromarray(to_bytes(picture).cpu().numpy()), 512


def run_previewer(base: "Base") -> Callable[["Progress", int], Any] | None:
    """Make a function that turns the state of a run and the number of a frame into a preview of that frame.

    What a base paints is shown by ComfyUI's own latent previews where it has them, which are much quicker than a
    decoder; all else as it will look.

    Returns:
        The function, or None if the user wants no previews.
    """
    import comfy.latent_formats
    import latent_preview
    from comfy.cli_args import LatentPreviewMethod, args

    if args.preview_method == LatentPreviewMethod.NoPreviews:
        return None
    latent_format = find_base(base.name).latent_format
    if latent_format is None or base.predicts_flow:
        return lambda progress, frame: preview_of(progress.preview(frame))
    kind = getattr(comfy.latent_formats, latent_format)()
    # Through the module, where other packs put their own.
    previewer = latent_preview.get_previewer(base.device, kind)
    if previewer is None:
        return None

    def show(progress: "Progress", frame: int) -> Any:
        # A previewer shows the first frame, some of other packs all of them.
        turned = progress.latents.roll(-math.ceil(frame / base.stride), dims=2)
        frames = turned if kind.latent_dimensions == 3 else turned[0].transpose(0, 1)
        return previewer.decode_latent_to_preview_image("JPEG", frames)

    return show


def native_latent(model: Any, vae: Any, picture: Tensor) -> Tensor:
    """Encode a picture (1, H, W, 3) by one of ComfyUI's VAEs into a latent as its model sees it inside a sampler.

    Args:
        model: one of ComfyUI's MODELs, whose latent format is used.
        vae: its VAE.
        picture: (1, H, W, 3) in [0, 1]; more channels are ignored.
    """
    return model.get_model_object("latent_format").process_in(vae.encode(picture[..., :3]))


def native_scale(vae: Any) -> int:
    """Pixels for each place of the latents of one of ComfyUI's VAEs, along one side."""
    spatial = getattr(vae, "spacial_compression_encode", None)
    return int(spatial()) if spatial else 8
