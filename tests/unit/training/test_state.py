"""Checkpoints that are damaged, or were made to harm, end in one sentence that names them."""

import json
import math
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from miva_core.bases.base import Base
from miva_core.bases.recipe import Recipe
from miva_core.errors import MIVAError
from miva_core.training.latent_clips import LatentClip
from miva_core.training.loop import CHECKPOINT, train
from miva_core.training.options import TrainOptions
from miva_core.training.state import TrainingState, read_state, restore, save_state

SCALE = {"scale": 1024.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000, "_growth_tracker": 1}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, 3))
        self.bias = nn.Parameter(torch.randn(2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A checkpoint of three steps."""
    net = Net()
    optimiser = torch.optim.AdamW(net.parameters())
    for _ in range(3):
        (net.weight.sum() * net.bias.sum()).backward()
        optimiser.step()
    state = TrainingState(3, torch.rand(3, dtype=torch.float64), {"steps": 6, "lr": 1e-3, "base": "a1"}, {})
    save_state(tmp_path / CHECKPOINT, state, {"adapter": net}, optimiser)
    return tmp_path / CHECKPOINT


def restored(path: Path) -> None:
    net = Net()
    restore(path, {"adapter": net}, torch.optim.AdamW(net.parameters()))


def rewrite(path: Path, change: Callable[[dict[str, Tensor], dict[str, Any]], object]) -> None:
    """Changes the tensors and the header of a checkpoint in a way that leaves a valid safetensors file."""
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["miva_training"])
    change(tensors, header)
    path.unlink()
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, path, {"miva_training": json.dumps(header)}
    )


def test_the_sound_one_is_taken(path: Path) -> None:
    rewrite(path, lambda tensors, header: header["settings"].update(flip=True, masked=None))
    restored(path)
    assert read_state(path).step == 3


FIRST, SECOND = "optimiser.adapter.weight.exp_avg", "optimiser.adapter.weight.exp_avg_sq"
COUNT = "optimiser.adapter.bias.step"
TENSORS: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "NaN in a weight": (lambda t: t["adapter.weight"][0].fill_(math.nan), "NaN or infinite values for adapter.weight"),
    "huge weights": (lambda t: t["adapter.weight"][0].fill_(1e30), "absurdly large values for adapter.weight"),
    "huge momentum": (lambda t: t[FIRST][0].fill_(-1e30), f"absurdly large values for {FIRST}"),
    "infinite momentum": (lambda t: t[FIRST][0].fill_(-math.inf), f"NaN or infinite values for {FIRST}"),
    "negative squares": (lambda t: t[SECOND].fill_(-1), "values that no training reaches"),
    "steps before the first": (lambda t: t[COUNT].fill_(-1), "values that no training reaches"),
    "more steps than were done": (lambda t: t[COUNT].fill_(4), "values that no training reaches"),
    "NaN steps": (lambda t: t[COUNT].fill_(math.nan), f"NaN or infinite values for {COUNT}"),
    "whole numbers": (lambda t: t.update({FIRST: t[FIRST].long()}), f"I64 in place of F32 for {FIRST}"),
    "half precision": (lambda t: t.update({"adapter.bias": t["adapter.bias"].half()}), "F16 in place of F32"),
    "a list of steps": (lambda t: t.update({COUNT: t[COUNT].expand(2)}), "another structure"),
    "squares of another shape": (lambda t: t.update({SECOND: t[SECOND].T}), "another structure"),
    "a weight of another shape": (lambda t: t.update({"adapter.bias": torch.zeros(3)}), "another structure"),
    "no weight": (lambda t: t.pop("adapter.bias"), "nothing for adapter.bias"),
    "no squares": (lambda t: t.pop(SECOND), f"nothing for {SECOND}"),
    "no optimiser": (lambda t: [t.pop(name) for name in list(t) if name.startswith("opt")], "nothing for optimiser"),
}


@pytest.mark.parametrize("damage", TENSORS)
def test_damaged_tensors_are_named(damage: str, path: Path) -> None:
    change, message = TENSORS[damage]
    rewrite(path, lambda tensors, header: change(tensors))
    with pytest.raises(MIVAError, match="to begin anew") as caught:
        restored(path)
    assert message in str(caught.value) and str(path) in str(caught.value)


HEADERS: dict[str, Callable[[dict[str, Tensor], dict[str, Any]], object]] = {
    "losses that are NaN": lambda t, header: t["losses"].fill_(math.nan),
    "losses beyond float32": lambda t, header: t["losses"].fill_(1e200),
    "losses as integers": lambda t, header: t.update(losses=torch.ones(3).long()),
    "losses in a square": lambda t, header: t.update(losses=torch.ones(2, 2).double()),
    "no losses": lambda t, header: t.pop("losses"),
    "no settings": lambda t, header: header.pop("settings"),
    "settings that are a list": lambda t, header: header.update(settings=[1]),
    "settings in pairs of numbers": lambda t, header: header.update(settings=[[1, 2]]),
    "settings inside each other": lambda t, header: header["settings"].update(seed={"a": 1}),
    "a text that is no word": lambda t, header: header["settings"].update(base="\x1b[2J"),
    "a name that is none": lambda t, header: header["settings"].update({"x" * 1000: 1}),
    "steps as a text": lambda t, header: header["settings"].update(steps="6"),
    "no steps": lambda t, header: header["settings"].pop("steps"),
    "a rate that is NaN": lambda t, header: header["settings"].update(lr=math.nan),
    "a scale that is a number": lambda t, header: header.update(scale=1),
    "a scale with a part alone": lambda t, header: header.update(scale={"scale": 1.0}),
    "a scale that counts in halves": lambda t, header: header.update(scale=SCALE | {"_growth_tracker": 0.5}),
    "a scale that is a text": lambda t, header: header.update(scale=SCALE | {"scale": "1"}),
    "a scale below zero": lambda t, header: header.update(scale=SCALE | {"scale": -1.0}),
}


@pytest.mark.parametrize("damage", HEADERS)
def test_a_header_that_no_training_writes_is_told(damage: str, path: Path) -> None:
    rewrite(path, HEADERS[damage])
    with pytest.raises(MIVAError, match=r"checkpoint\.safetensors holds no state"):
        restored(path)


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, "null", "1" * 5000, "{", '{"settings": 9}'])
def test_a_header_that_is_no_object_is_told(text: str, path: Path) -> None:
    save_file({"losses": torch.ones(1).double()}, path, {"miva_training": text})
    with pytest.raises(MIVAError, match="holds no state"):
        read_state(path)


def test_a_header_that_claims_more_than_any_has_is_not_read(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(struct.pack("<Q", 99_000_000))
        file.truncate(99_000_100)
    program = (
        "import resource, sys, torch; from pathlib import Path; from miva_core.training.state import read_state\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_state(Path(sys.argv[1]))\n"
        "except ValueError: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    process = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert int(process.stdout) < 50_000  # KiB; read whole it would be 99 MB and more


def test_a_stop_before_the_first_step_that_counts_goes_on(tmp_path: Path) -> None:
    """In float16 the first steps may be left out, each lowering the scale of the loss."""
    net, path = Net(), tmp_path / CHECKPOINT
    state = TrainingState(1, torch.rand(1, dtype=torch.float64), {"steps": 6, "lr": 1e-3}, SCALE)
    save_state(path, state, {"adapter": net}, torch.optim.AdamW(net.parameters()))
    again = Net()
    optimiser = torch.optim.AdamW(again.parameters())
    restore(path, {"adapter": again}, optimiser)
    assert torch.equal(again.weight, net.weight) and not optimiser.state
    assert dict(read_state(path).scale) == SCALE


def test_nothing_damaged_reaches_a_step(
    make_base: Callable[..., Base],
    make_clips: Callable[..., list[list[LatentClip]]],
    make_recipe: Callable[..., Recipe],
    tmp_path: Path,
) -> None:
    """NaN that reach backward can end the process."""
    base, recipe = make_base(), make_recipe(steps=1, batch=1)
    train(base, make_clips(base), recipe, folder=tmp_path)
    rewrite(
        tmp_path / CHECKPOINT, lambda tensors, header: [t.fill_(math.nan) for n, t in tensors.items() if "cfa" in n]
    )
    with pytest.raises(MIVAError, match="infinite values for adapter"):
        train(base, make_clips(base), replace(recipe, steps=2), folder=tmp_path, options=TrainOptions(resume=True))
