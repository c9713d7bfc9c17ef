"""Small whole files of each kind that people have, to be damaged; and checkpoints that are strange without damage."""

import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SIZE = 32
"""Of clips, in pixels."""
WAN = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "num_layers": 2,
    "ffn_dim": 16,
    "text_dim": 8,
    "freq_dim": 16,
}


def adapter_files(folder: Path) -> Iterator[Path]:
    """Random adapters of the built-in base: plain, masked, and in half precision."""
    import torch

    from miva_core import MIVAAdapter, MIVAConfig, load_base

    backbone = load_base("tiny").backbone
    for name, masked, dtype in (("plain", False, "float32"), ("masked", True, "float32"), ("half", False, "float16")):
        adapter = MIVAAdapter(backbone, MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2, mask=masked))
        for parameter in adapter.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        record = {"motion": "hop", "frames": 16, "size": (64, 64), "fps": 8, "training": {"steps": 3, "clips": "a, b"}}
        adapter.save(folder / f"{name}.safetensors", adapter.info(**record), getattr(torch, dtype))
        yield folder / f"{name}.safetensors"


def model_files(folder: Path) -> Iterator[Path]:
    """A research checkpoint in all the ways in which PyTorch saves it, and as safetensors."""
    import torch
    from safetensors.torch import save_file

    tensors = research_checkpoint()
    for name, content, options in (
        ("zip.ckpt", tensors, {}),
        ("wrapped.pt", {"state_dict": {f"module.{key}": tensor for key, tensor in tensors.items()}, "step": 3}, {}),
        ("old.pt", tensors, {"_use_new_zipfile_serialization": False}),
        ("half.pth", {key: tensor.bfloat16() for key, tensor in tensors.items()}, {}),
    ):
        torch.save(content, folder / name, **options)
        yield folder / name
    save_file(tensors, folder / "whole.safetensors", {"a": "{}"})
    yield folder / "whole.safetensors"


def research_checkpoint() -> dict[str, Any]:
    """What the authors' code saves of a small Wan after training by PEFT, random."""
    import torch

    width = WAN["num_attention_heads"] * WAN["attention_head_dim"]
    tensors = {}
    for k in range(WAN["num_layers"]):
        for matrix in ("q", "o"):
            tensors[f"blocks.{k}.i2v_adapter.{matrix}.lora_A.weight"] = torch.randn(2, width)
            tensors[f"blocks.{k}.i2v_adapter.{matrix}.lora_B.weight"] = torch.randn(width, 2)
        tensors[f"blocks.{k}.i2v_adapter.weight_module.linear.weight"] = torch.randn(2, width)
        tensors[f"blocks.{k}.i2v_adapter.weight_module.linear.bias"] = torch.randn(2)
        tensors[f"blocks.{k}.cross_attn.CA2.weight"] = torch.randn(3, width)
        tensors[f"blocks.{k}.cross_attn.CA_norm.weight"] = torch.randn(3)
        tensors[f"blocks.{k}.cross_attn.CA_norm.bias"] = torch.randn(3)
        tensors[f"blocks.{k}.cross_attn.CA3.weight"] = torch.randn(width, 3)
    return tensors


def clip_files(folder: Path) -> Iterator[Path]:
    """Short clips in the containers and codecs that people have."""
    import av
    import numpy as np
    import torch

    from miva_core.media.video import write_video

    frames = torch.rand(1, 8, 8, 3).repeat(12, SIZE // 8, SIZE // 8, 1)
    for k in range(12):
        frames[k, k : k + 8, 4:12] = 1
    for ending in (".mp4", ".gif", ".webp"):
        write_video(frames, folder / f"clip{ending}", 8)
        yield folder / f"clip{ending}"
    pixels = (frames * 255).byte().numpy()
    for ending, codec, layout in (
        (".mkv", "ffv1", "bgr0"),
        (".webm", "libvpx-vp9", "yuv420p"),
        (".avi", "mjpeg", "yuvj420p"),
        (".mov", "qtrle", "argb"),
        (".ts", "mpeg2video", "yuv420p"),
        (".flv", "flv", "yuv420p"),
    ):
        with av.open(str(folder / f"clip{ending}"), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width = stream.height = SIZE
            stream.pix_fmt = layout
            for picture in pixels:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        yield folder / f"clip{ending}"


def training_files(folder: Path) -> Iterator[Path]:
    """The checkpoint of a training of the built-in base after two of its three steps."""
    from miva_core.training.loop import CHECKPOINT, train

    asked: list[bool] = []
    train(*short_training(), folder=folder, stop=lambda: bool(asked.append(True)) or len(asked) == 2)
    yield folder / CHECKPOINT


def short_training() -> tuple[Any, Any, Any]:
    """The built-in base, a clip for it, and a recipe of three quick steps."""
    from dataclasses import replace

    import torch

    from miva_core import MIVAConfig, load_base
    from miva_core.clips.training_clip import TrainingClip
    from miva_core.training.recipes import recipe
    from miva_core.training.training_set import TrainingSet

    base = load_base("tiny")
    frames = torch.randint(256, (base.frames, 3, *base.size), generator=torch.Generator().manual_seed(0)).byte()
    clips = TrainingSet("hop", [TrainingClip("a", frames, torch.zeros(0, base.frames, *base.size).byte())])
    config = MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2)
    quick = replace(recipe("tiny"), config=config, steps=3, batch=1, rolled_out=0.0, colours=1)
    return base, clips.encode(base, colours=1, seed=0), quick


def strange_checkpoint(path: Path, chance: random.Random) -> str:
    """Write a checkpoint that PyTorch can read, but that is none: one of its tensors claims, lacks or is something."""
    import torch

    tensors: dict[Any, Any] = research_checkpoint()
    name = chance.choice(list(tensors))
    tensor = tensors[name]
    strange: dict[str, Callable[[], Any]] = {
        "claims gigabytes": lambda: torch.zeros(1).expand(chance.choice((10**5, 10**9)), 30_000),
        "claims rows": lambda: torch.zeros(24).as_strided((10**6, 24), (0, 1)),
        "sparse": tensor.to_sparse,
        "on meta": lambda: tensor.to("meta"),
        "quantised": lambda: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
        "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        "whole numbers": tensor.long,
        "complex": lambda: tensor.to(torch.complex64),
        "NaN": lambda: tensor * float("nan"),
        "huge": lambda: tensor * chance.choice((1e4, 1e30)),
        "turned": lambda: tensor.T if tensor.ndim == 2 else tensor[None],
        "no dimension": tensor.sum,
        "empty": lambda: tensor[:0],
        "a text": lambda: "x" * 300_000,
        "itself": lambda: tensors,
        "one for all": lambda: torch.zeros(3000),
    }
    kind = chance.choice(list(strange))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensors[chance.choice((name, name, name * 3000, 5))] = made = strange[kind]()
        content = {f"{key}.{k}": made for key in tensors for k in range(50)} if kind == "one for all" else tensors
        for _ in range(chance.choice((0, 0, 1, 3, 400))):
            content = {chance.choice(("state_dict", "model", "x")): content}
        torch.save(content, path, _use_new_zipfile_serialization=chance.random() < 0.7)
    return kind
