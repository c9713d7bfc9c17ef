"""The training of the built-in base, on a handful of clips."""

import argparse
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks.t2v_base import errors, scheduler
from miva_core import RunOptions, animate
from miva_core.bases.tiny.loading import load_tiny
from miva_core.bases.tiny.spec import WEIGHTS
from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.training.accelerating import own_accelerator
from tools import train_tiny
from tools.tiny_base import training
from tools.tiny_base.clips import ROUND
from tools.tiny_base.model import CaptionedModel, build_unet, load_halves
from tools.tiny_base.training import ClipLosses, Pace, train_video_model

ROOT = Path(__file__).parents[3]
STILLS = ROOT / "workflows/pictures/miva_stills"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["train_tiny", *map(str, arguments)])
    train_tiny.main()


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped base after a step or two more, exported."""
    clock = iter([0.0, 0.4, 1.0])
    monkeypatch.setattr(train_tiny, "time_share", lambda *_: lambda step: next(clock))
    few = ("--photos", STILLS, "--batch", 1, "--pool", ROUND, "--short", 1.0)
    codec = ("--codec", WEIGHTS / "codec")
    with torch.enable_grad():
        run(monkeypatch, "base", *codec, *few, "--resume", WEIGHTS, "--out", tmp_path / "work")
    run(monkeypatch, "export", *codec, "--resume", tmp_path / "work" / "ema.pt", "--out", tmp_path / "tiny")
    return tmp_path


def test_what_is_exported_loads_and_animates(trained: Path) -> None:
    base = load_tiny(trained / "tiny")
    saved = torch.load(trained / "work" / "ema.pt", weights_only=True)
    for name, parameter in base.model.named_parameters():
        if f"unet.{name}" in saved:
            assert torch.equal(parameter, saved[f"unet.{name}"].float()), name
    clip = animate(base, torch.rand(64, 64, 3), [], RunOptions(steps=2, render="latents"))
    assert clip.frames.shape == (16, 64, 64, 3) and clip.frames.isfinite().all()


def test_it_goes_on_from_what_was_exported(trained: Path) -> None:
    model = CaptionedModel(build_unet(load_tiny(WEIGHTS).codec))
    load_halves(trained / "tiny", model)
    saved = torch.load(trained / "work" / "ema.pt", weights_only=True)
    assert model.learnt.keys() == saved.keys()
    assert all(torch.equal(p, saved[name].float()) for name, p in model.learnt.items())
    shipped = load_file(WEIGHTS / "words.safetensors")["weight"]
    assert not torch.equal(model.words.weight, shipped.float()), "nothing was learnt"


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.eye(3))
        self.bias = nn.Parameter(torch.zeros(3))


class ToyLosses(ClipLosses):
    """Losses of a toy, which keep its bias as it is before each step."""

    def __init__(self) -> None:
        super().__init__(CaptionedModel(Toy()))
        self.model.words = nn.Embedding(4, 3, padding_idx=0)
        self.seen: list[Tensor] = []

    def forward(self, step: int, progress: float) -> tuple[Tensor, Tensor]:
        toy = self.model.unet
        self.seen.append(toy.bias.detach().clone())
        answer = self.model.words(torch.tensor([1, 2])) @ toy.matrix + toy.bias
        return torch.tensor([10, 900]), (answer - 1).square().mean(1)


STEPS, PACE = 70, Pace(lr=0.01, decay=0.4, ema=0.5)


def trained_toy(folder: Path) -> ToyLosses:
    losses = ToyLosses()
    with torch.enable_grad(), own_accelerator(torch.device("cpu"), None) as accelerator:
        train_video_model(losses, lambda step: step / STEPS, PACE, folder, accelerator)
    return losses


def test_weights_are_averaged_over_the_steps(tmp_path: Path) -> None:
    """The average begins with the first step; each later one moves it by a share 1 - min(0.5, (k + 1) / (k + 10))."""
    losses = trained_toy(tmp_path)
    _, average, *later = [*losses.seen, losses.model.unet.bias.detach()]
    for k, after in enumerate(later, start=1):
        share = 1 - min(0.5, (k + 1) / (k + 10))
        average = (1 - share) * average + share * after
    saved = torch.load(tmp_path / "ema.pt", weights_only=True)
    torch.testing.assert_close(saved["unet.bias"].float(), average, rtol=2e-3, atol=1e-5)
    assert not torch.allclose(average, later[-1], rtol=1e-4)


def test_the_rate_rises_over_fifty_steps_and_falls_in_a_line_over_the_last_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[torch.optim.Optimizer] = []
    rates: list[list[float]] = []
    make = training.make_optimisers
    monkeypatch.setattr(training, "make_optimisers", lambda *args: made.extend(make(*args)) or made)
    forward = ToyLosses.forward

    def watched(self: ToyLosses, step: int, progress: float) -> tuple[Tensor, Tensor]:
        rates.append([optimiser.param_groups[0]["lr"] for optimiser in made])
        return forward(self, step, progress)

    monkeypatch.setattr(ToyLosses, "forward", watched)
    trained_toy(tmp_path)
    assert len(rates) == STEPS
    for k, of_step in enumerate(rates):
        left = (STEPS - k) / STEPS
        expected = 0.01 * min((k + 1) / 50, 1) * (0.02 + 0.98 * (left / 0.4 if left < 0.4 else 1))
        assert of_step == pytest.approx([expected] * 2)


WORKER = """
import sys
from pathlib import Path

import torch

from miva_core.training.accelerating import own_accelerator
from tools.tiny_base.model import CaptionedModel
from tools.tiny_base.training import ClipLosses, Pace, train_video_model

folder = Path(sys.argv[1])


class Toy(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.matrix = torch.nn.Parameter(torch.eye(3))
        self.bias = torch.nn.Parameter(torch.zeros(3))


class Losses(ClipLosses):
    def __init__(self, rank):
        super().__init__(CaptionedModel(Toy()))
        self.rank = rank

    def forward(self, step, progress):
        words = self.model.words.weight.sum() + self.model.unet.matrix.sum()
        return torch.tensor([10]), (self.model.unet.bias * (1 + 2 * self.rank)).sum()[None] + 0 * words


with own_accelerator(torch.device("cpu"), None) as accelerator:
    losses = Losses(accelerator.process_index)
    clip = accelerator.clip_grad_norm_

    def keep(parameters, most):
        torch.save(losses.model.unet.bias.grad.clone(), folder / f"gradients{accelerator.process_index}.pt")
        return clip(parameters, most)

    accelerator.clip_grad_norm_ = keep
    train_video_model(losses, lambda step: float(step), Pace(), folder, accelerator)
"""


def test_two_processes_learn_from_the_clips_of_both(tmp_path: Path) -> None:
    """The losses of one have the slope 1, those of the other 3: both step by the mean."""
    (tmp_path / "worker.py").write_text(WORKER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}
    workers = [
        subprocess.Popen(
            [sys.executable, str(tmp_path / "worker.py"), str(tmp_path)],
            env=os.environ | common | {"PYTHONPATH": str(ROOT), "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    first, second = (torch.load(tmp_path / f"gradients{rank}.pt", weights_only=True) for rank in range(2))
    assert torch.equal(first, second)
    torch.testing.assert_close(first, torch.tensor([2.0, 2.0, 2.0]))


def test_losses_of_clips_that_are_noisy_in_all_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that answers x_t misses the clip by (alpha - 1) x + sigma eps."""

    class Echo(nn.Module):
        def forward(self, noisy: Tensor, t: Tensor, encoder_hidden_states: Tensor) -> argparse.Namespace:
            assert torch.equal(encoder_hidden_states[:4], text[:1].expand(4, -1, -1))
            return argparse.Namespace(sample=noisy)

    latents, noise = torch.randn(2, 2, 3, 4, 2, 2)
    text, t = torch.randn(2, 2, 5), torch.tensor([100, 800])
    monkeypatch.setattr(torch, "randn_like", lambda _: noise)
    found = errors(Echo(), NoiseProcess(scheduler()), text, latents, t)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alphas = (1 - betas).cumprod(0).sqrt()
    for b in range(2):
        alpha = alphas[t[b]].item()
        sigma = (1 - alpha**2) ** 0.5
        missed = (alpha - 1) * latents[b] + sigma * noise[b]
        torch.testing.assert_close(found[b], missed.square().mean(), rtol=1e-4, atol=1e-6)
