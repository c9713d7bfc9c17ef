"""All that this pack wants of ComfyUI's own modules: folders, memory, progress, previews, interruption.

They are imported inside the functions, so that the pack loads in no time, and its tests run, without them.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..miva_core.bases.library import shipped_folders
from ..miva_core.bases.registry import find_base
from ..miva_core.clips.names import VIDEOS, is_of_masks
from ..miva_core.errors import MIVAError
from ..miva_core.media.pixel_values import to_bytes
from ..miva_core.storage.files import create_folder, replacing
from ..miva_core.text.markup import as_markup
from ..miva_core.text.terminal import in_ascii

if TYPE_CHECKING:
    from ..miva_core.bases.base import Base

EXAMPLES = Path(__file__).parents[1] / "workflows" / "pictures"
"""Pictures and stills of the example workflows."""

_LEGACY = {".ckpt", ".pt", ".pth"}
_SAFE = {".safetensors"}
_FOLDERS = {
    "miva": _SAFE,
    "animatediff_models": _SAFE | _LEGACY,
    "sam2": _SAFE | _LEGACY,
    "grounding-dino": _SAFE | _LEGACY,
}
"""Folders of models that ComfyUI does not know by itself, and the endings of their files."""

_log = logging.getLogger(__name__)


def register_folders() -> None:
    """Make our folders of models known beside what extra_model_paths.yaml and other packs say of them."""
    import folder_paths

    for name, endings in _FOLDERS.items():
        paths, known = folder_paths.folder_names_and_paths.get(name, ([], set()))
        own = str(Path(folder_paths.models_dir) / name)
        added = [own, *map(str, shipped_folders())] if name == "miva" else [own]
        paths = [*paths, *(path for path in added if path not in paths)]
        # An empty set of endings lists every file; what a folder of ours may hold is not for others to widen.
        endings = endings if name == "miva" else {*known, *endings}
        folder_paths.folder_names_and_paths[name] = (paths, endings)
    try:
        adapters_folder()
    except MIVAError as error:
        _log.warning("%s", in_ascii(str(error)))


def lay_out_examples() -> None:
    """Put the pictures of the example workflows into the input folder, where Load Image finds them, if they are not
    there."""
    import folder_paths

    target = Path(folder_paths.get_input_directory())
    for source in sorted(path for path in EXAMPLES.rglob("*") if path.is_file()):
        path = target / source.relative_to(EXAMPLES)
        if path.exists():
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                shutil.copyfile(source, temporary)
        except (OSError, MIVAError) as error:
            text = in_ascii(f"The example picture {path.name} could not be put into the input folder: {error}.")
            _log.warning("%s", text)
            return


def files_in(folder: str) -> list[str]:
    """Names of the files in one of ComfyUI's folders of models, as its menus show them."""
    import folder_paths

    return list(folder_paths.get_filename_list(folder))


def file_in(folder: str, name: str) -> Path | None:
    """The file behind a name in a menu; None if it is gone, or outside of the folder."""
    import folder_paths

    path = folder_paths.get_full_path(folder, name)
    return None if path is None else Path(path)


def places_of(folder: str) -> list[str]:
    """The folders in which files of a kind are looked for."""
    import folder_paths

    return list(folder_paths.get_folder_paths(folder))


def input_folders() -> list[str]:
    """Names of the folders in the input folder, forward slashes between them; not those of masks beside clips."""
    found = []
    for parent, folders, files in _walk_input():
        clips = {*folders, *(path.stem for path in map(Path, files) if path.suffix.lower() in VIDEOS)}
        found += [(parent / name).as_posix() for name in folders if not is_of_masks(name, clips)]
    return sorted(found)


def input_folder(name: str) -> Path | None:
    """A folder in the input folder; None if it is gone, or outside."""
    import folder_paths

    known = {(parent / folder).as_posix() for parent, folders, _ in _walk_input() for folder in folders}
    return Path(folder_paths.get_input_directory()) / name if name in known else None


def _walk_input() -> Iterator[tuple[Path, list[str], list[str]]]:
    """Of every folder in the input folder that is not hidden: its path from there, and the names in it."""
    import folder_paths

    root = Path(folder_paths.get_input_directory())
    for parent, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name[0] != "."]
        yield Path(parent).relative_to(root), folders, files


def adapters_folder() -> Path:
    """Where adapters are kept, made if it is not there."""
    import folder_paths

    return _made(Path(folder_paths.models_dir) / "miva")


def trainings_folder() -> Path:
    """Where trainings are kept, made if it is not there."""
    import folder_paths

    return _made(Path(folder_paths.get_output_directory()) / "miva_training")


def _made(folder: Path) -> Path:
    try:
        create_folder(folder, parents=True)
    except MIVAError as error:
        raise MIVAError(f"{error} Allow ComfyUI to write there.") from error
    return folder


class MIVANetwork(nn.Module):
    """A network for a patcher, which sets attributes that the network itself may not take; its name is seen in logs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network


def make_patcher(network: nn.Module) -> Any:
    """A ModelPatcher, by which ComfyUI brings a network to the graphics card and takes it away again."""
    import comfy.model_management as memory
    from comfy.model_patcher import ModelPatcher

    # Not the patcher of Dynamic VRAM, which would copy what it cannot stream anew for every prompt, and never free it.
    return ModelPatcher(MIVANetwork(network), memory.get_torch_device(), memory.unet_offload_device())


def load_to_device(patchers: Sequence[Any], needed: int) -> None:
    """Load networks whole onto the device they compute on.

    Args:
        needed: bytes that computing will take beside them.
    """
    import comfy.model_management as memory

    # Outside of inference mode, since training cannot use tensors that were made in it.
    with torch.inference_mode(False):
        memory.load_models_gpu(list(patchers), memory_required=needed, force_full_load=True)
        for patcher in patchers:
            # With --novram part of it stays behind, and these networks cannot be streamed.
            if any(one.device.type != patcher.load_device.type for one in patcher.model.parameters()):
                patcher.detach()
                patcher.partially_load(patcher.load_device, 1e32)


def working_dtype(half: torch.dtype) -> torch.dtype:
    """What a model is loaded in: `half` where the device computes in it."""
    import comfy.model_management as memory

    device = memory.get_torch_device()
    fits = memory.should_use_bf16(device) if half == torch.bfloat16 else memory.should_use_fp16(device)
    return half if fits else torch.float32


def memory_for_sampling(base: "Base", frames: int, size: tuple[int, int], streams: int = 1) -> int:
    """Bytes that sampling takes beside the weights, generously: by the rules ComfyUI has for its own models.

    Args:
        streams: the clip and the masks that are denoised beside it.
    """
    length, height, width = base.latent_shape(frames, size)[2:]
    itemsize = base.model.dtype.itemsize
    denoising = int(streams * length * height * width * itemsize * 0.01 * 2**20)
    pixels = height * width * 64
    return max(denoising, pixels * find_base(base.name).decoding_memory * itemsize)


def memory_for_training(base: "Base") -> int:
    """Bytes that a step of training takes beside the weights, generously."""
    return 5 * memory_for_sampling(base, base.frames, base.size)


def to_intermediate(tensor: Tensor) -> Tensor:
    """A result where ComfyUI wants results."""
    import comfy.model_management as memory

    return tensor.to(memory.intermediate_device())


def check_interrupted() -> None:
    """Raise ComfyUI's own exception if the user has pressed stop."""
    import comfy.model_management as memory

    memory.throw_exception_if_processing_interrupted()


class LateInterruption:
    """What the user's stop is kept in until the work in hand is safe."""

    def __init__(self) -> None:
        self._caught: BaseException | None = None

    def asked(self) -> bool:
        """Whether the user has pressed stop."""
        import comfy.model_management as memory

        return self._caught is not None or memory.processing_interrupted()

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """In which ComfyUI's exception, as progress bars raise it, too, is kept for later."""
        import comfy.model_management as memory

        try:
            yield
        except memory.InterruptProcessingException as caught:
            self._caught = caught

    def raise_if_asked(self) -> None:
        if self._caught:
            raise self._caught
        check_interrupted()


class ProgressBar:
    """The bar on a node, which may show a picture."""

    def __init__(self) -> None:
        import comfy.utils

        self._bar = comfy.utils.ProgressBar(1)

    def update(self, done: int, total: int, preview: Any = None) -> None:
        """
        Args:
            preview: from `preview_of`, a `latent_previewer`, or None.
        """
        self._bar.update_absolute(done, total, preview)


def teller() -> Callable[[int, int], None]:
    """A function of (done, total) that shows how far a node is, and stops it when the user wants that."""
    bar = ProgressBar()

    def tell(done: int, total: int) -> None:
        check_interrupted()
        bar.update(done, total)

    return tell


def show_text(text: str) -> None:
    """Write text onto the node that is running.

    A page takes it for HTML, and up to frontend 1.42 runs the scripts in it; Nodes 2.0 takes it for Markdown.
    """
    from comfy_execution.utils import get_executing_context
    from server import PromptServer

    context = get_executing_context()
    if context:
        PromptServer.instance.send_progress_text(as_markup(in_ascii(text)), context.node_id)


def preview_of(picture: Tensor) -> Any:
    """A picture (H, W, 3) in [0, 1] as a progress bar takes it."""
    from PIL import Image

    return "JPEG", Image.fromarray(to_bytes(picture).cpu().numpy()), 512


def latent_previewer(base: "Base") -> Callable[[Tensor, int], Any] | None:
    """From latents (1, C, F, h, w) and the number of a frame to a preview that shows this frame; None if the user wants
    no previews."""
    import comfy.latent_formats
    import latent_preview
    from comfy.cli_args import LatentPreviewMethod, args

    if args.preview_method == LatentPreviewMethod.NoPreviews:
        return None
    latent_format = find_base(base.name).latent_format
    if latent_format is None:
        return lambda latents, frame: preview_of(base.decode(latents)[frame])
    kind = getattr(comfy.latent_formats, latent_format)()
    # Through the module, where other packs put their own.
    previewer = latent_preview.get_previewer(base.device, kind)
    if previewer is None:
        return None

    def show(latents: Tensor, frame: int) -> Any:
        # A previewer shows the first frame, some of other packs all of them.
        turned = latents.roll(-frame, dims=2)
        frames = turned if kind.latent_dimensions == 3 else turned[0].transpose(0, 1)
        return previewer.decode_latent_to_preview_image("JPEG", frames)

    return show


def native_latent(model: Any, vae: Any, pictures: Tensor) -> Tensor:
    """The latent of a picture (1, H, W, 3) by ComfyUI's own VAE, as its own model sees it inside a sampler."""
    return model.get_model_object("latent_format").process_in(vae.encode(pictures[..., :3]))


def native_scale(vae: Any) -> int:
    """Pixels to a latent of ComfyUI's own VAE."""
    spatial = getattr(vae, "spacial_compression_encode", None)
    return int(spatial()) if spatial else 8
