"""ComfyUI's own modules as far as this pack asks them, over folders of a test; what is asked of them is kept.

They behave as those of ComfyUI 0.33 do where it matters to a node: names in menus are relative and filtered by ending,
the way out of a folder of models is barred, a stop is an exception that no `except Exception` catches and that a
progress bar raises, too.
"""

import os
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import fake_native
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

_MODELS = ("checkpoints", "vae", "diffusion_models")
"""Folders of models that ComfyUI knows by itself."""


class Interrupted(BaseException):
    """What ComfyUI raises when the user has pressed stop."""


class Patcher:
    """Holds a network, as ComfyUI's ModelPatcher does; `load_models_gpu` brings it to its device."""

    def __init__(self, model: nn.Module, load_device: torch.device, offload_device: torch.device) -> None:
        self.model, self.load_device, self.offload_device = model, load_device, offload_device
        self.model.device = offload_device  # as the real one does, so that a network with such a property fails here
        self.forced: list[float | str] = []

    def detach(self) -> None:
        self.forced.append("detached")

    def partially_load(self, device: torch.device, extra_memory: float) -> None:
        self.forced.append(extra_memory)


class FakeComfyUI:
    """
    Attributes:
        models, input, output: its folders.
        loads: of each call that loads networks, these, the bytes asked for beside them, and the options.
        progress: what its progress bars have shown, (done, total).
        previews: the pictures they have shown.
        written: what was written onto nodes, with their ids.
        stop_at: what a progress bar shows when the user presses stop, (done, total), if ever.
        half: whether its device computes in half precision.
        free_memory: bytes, on every device.
    """

    def __init__(self, root: Path) -> None:
        self.models, self.input, self.output = (root / name for name in ("models", "input", "output"))
        for folder in (*(self.models / name for name in _MODELS), self.input, self.output):
            folder.mkdir(parents=True)
        self.loads: list[tuple[list[Any], int, dict[str, Any]]] = []
        self.progress: list[tuple[int, int]] = []
        self.previews: list[Any] = []
        self.written: list[tuple[str, str]] = []
        self.stop_at: tuple[int, int] | None = None
        self.half = False
        self.free_memory = 10**12
        self.stopped = False
        self.modules = self._modules()

    def add(self, folder: str, name: str, content: bytes | Path = b"") -> Path:
        """A file in a folder of models; content may be a file to copy."""
        path = self.models / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
        return path

    def send_progress_text(self, text: str, node_id: str) -> None:
        """As ComfyUI's server, which writes it onto a node; what is no UTF-8 cannot be sent."""
        text.encode()
        self.written.append((node_id, text))

    def _modules(self) -> dict[str, ModuleType]:
        """By the names that they are imported by."""
        made = {
            "folder_paths": self._folder_paths(),
            "comfy.model_management": self._model_management(),
            "comfy.model_patcher": {"ModelPatcher": Patcher},
            "comfy.utils": {"ProgressBar": self._progress_bar()},
            "comfy.latent_formats": {
                "SD15": type("SD15", (), {"latent_dimensions": 2}),
                "Wan21": type("Wan21", (), {"latent_dimensions": 3}),
            },
            "comfy.cli_args": self._cli_args(),
            "server": {"PromptServer": SimpleNamespace(instance=self)},
            "comfy_execution": {},
            "comfy_execution.utils": {"get_executing_context": lambda: SimpleNamespace(node_id="7")},
            "latent_preview": {"get_previewer": lambda device, latent_format: None, "prepare_callback": None},
            **fake_native.MODULES,
        }
        modules: dict[str, ModuleType] = {}
        for name, members in made.items():
            vars(_module(modules, name)).update(members)
        return modules

    def _folder_paths(self) -> dict[str, Any]:
        folders: dict[str, tuple[list[str], set[str]]] = {
            name: ([str(self.models / name)], {".ckpt", ".pt", ".safetensors"}) for name in _MODELS
        }

        def filename_list(folder: str) -> list[str]:
            paths, endings = folders[folder]
            files = [file for path in map(Path, paths) for file in path.rglob("*") if file.is_file()]
            named = {os.path.relpath(file, next(path for path in paths if file.is_relative_to(path))) for file in files}
            return sorted(name for name in named if not endings or Path(name).suffix.lower() in endings)

        def full_path(folder: str, name: str) -> str | None:
            inside = os.path.relpath(os.path.join("/", name), "/")
            tried = (os.path.join(path, inside) for path in folders[folder][0])
            return next((path for path in tried if os.path.isfile(path)), None)

        return {
            "models_dir": str(self.models),
            "folder_names_and_paths": folders,
            "get_filename_list": filename_list,
            "get_full_path": full_path,
            "get_folder_paths": lambda folder: list(folders[folder][0]),
            "get_input_directory": lambda: str(self.input),
            "get_output_directory": lambda: str(self.output),
        }

    def _model_management(self) -> dict[str, Any]:
        cpu = torch.device("cpu")

        def load_models_gpu(models: list[Any], memory_required: int = 0, **options: bool) -> None:
            self.loads.append((models, memory_required, options))

        return {
            "InterruptProcessingException": Interrupted,
            "get_torch_device": lambda: cpu,
            "unet_offload_device": lambda: cpu,
            "unet_dtype": lambda: torch.float32,
            "intermediate_device": lambda: cpu,
            "get_free_memory": lambda device: self.free_memory,
            "should_use_fp16": lambda device: self.half,
            "should_use_bf16": lambda device: self.half,
            "load_models_gpu": load_models_gpu,
            "processing_interrupted": lambda: self.stopped,
            "throw_exception_if_processing_interrupted": self._raise_if_stopped,
        }

    def _raise_if_stopped(self) -> None:
        if self.stopped:
            self.stopped = False
            raise Interrupted

    def _progress_bar(self) -> type:
        fake = self

        class ProgressBar:
            def __init__(self, total: int) -> None:
                self.seen = False

            def update_absolute(self, value: int, total: int, preview: Any = None) -> None:
                # Steps that follow each other fast are not sent, and a stop is not met then.
                if preview is not None or not self.seen or value == total:
                    fake._raise_if_stopped()
                self.seen = True
                fake.progress.append((value, total))
                fake.previews += [preview] if preview is not None else []
                if (value, total) == fake.stop_at:
                    fake.stopped, fake.stop_at = True, None

        return ProgressBar

    def _cli_args(self) -> dict[str, Any]:
        method = type("LatentPreviewMethod", (), {"NoPreviews": "none", "Auto": "auto"})
        return {"LatentPreviewMethod": method, "args": type("args", (), {"preview_method": method.Auto})}


def _module(modules: dict[str, ModuleType], name: str) -> ModuleType:
    """The module of a dotted name, in those above it; it is made if it is not there."""
    if name not in modules:
        modules[name] = ModuleType(name)
        above, _, own = name.rpartition(".")
        if above:
            setattr(_module(modules, above), own, modules[name])
    return modules[name]


def load_picture(path: Path) -> Tensor:
    """IMAGE (1, H, W, 3), as Load Image gives it."""
    return torch.from_numpy(np.array(Image.open(path).convert("RGB")).astype(np.float32) / 255)[None]


class FlatVae:
    """A VAE of ComfyUI's, whose latents are the colours of 8 by 8 pixels and their mean; it keeps what it is given."""

    def spacial_compression_encode(self) -> int:
        return 8

    def encode(self, pictures: Tensor) -> Tensor:
        self.seen = pictures
        colours = pictures.movedim(-1, 1).unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8)).mean((-1, -3))
        return torch.cat([colours, colours.mean(1, keepdim=True)], 1)


class NativeModel:
    """A MODEL of ComfyUI's: inside a sampler its latents are larger than its VAE's."""

    def get_model_object(self, name: str) -> Any:
        assert name == "latent_format"
        return type("Format", (), {"process_in": staticmethod(lambda latent: latent * 2.0)})
