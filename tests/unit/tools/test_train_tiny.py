"""The training of the built-in base, on a handful of clips."""

import argparse
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks.t2v_base import losses, scheduler
from miva_core import RunOptions, animate
from miva_core.bases.tiny.loading import load_tiny
from miva_core.bases.tiny.spec import WEIGHTS
from tools import train_tiny
from tools.procedural.scenes import WORDS

STILLS = Path(__file__).parents[3] / "workflows/pictures/miva_stills"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["train_tiny", *map(str, arguments)])
    train_tiny.main()


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped base after a step or two more, exported."""
    clock = iter([0.0, 0.4, 1.0])
    monkeypatch.setattr(train_tiny, "elapsed_share", lambda *_: next(clock))
    few = ("--photos", STILLS, "--batch", 1, "--pool", train_tiny.ROUND, "--short", 1.0)
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
    clip = animate(base, torch.rand(64, 64, 3), [], RunOptions(steps=2))
    assert clip.frames.shape == (16, 64, 64, 3) and clip.frames.isfinite().all()


def test_it_goes_on_from_what_was_exported(trained: Path) -> None:
    unet = train_tiny.build_unet(load_tiny(WEIGHTS).codec)
    words = nn.Embedding(len(WORDS), train_tiny.TEXT_DIM)
    train_tiny.load_halves(trained / "tiny", unet, words)
    saved = torch.load(trained / "work" / "ema.pt", weights_only=True)
    assert torch.equal(words.weight, saved["words.weight"].float())
    assert all(torch.equal(p, saved[name].float()) for name, p in train_tiny.named(unet, words).items())
    shipped = load_file(WEIGHTS / "words.safetensors")["weight"]
    assert not torch.equal(words.weight, shipped.float()), "nothing was learnt"


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.eye(3))
        self.bias = nn.Parameter(torch.zeros(3))


def test_weights_are_averaged_over_the_steps(tmp_path: Path) -> None:
    """Each step moves the average by a share 1 - min(0.5, (k + 1) / (k + 10)) of the way."""
    toy, words = Toy(), nn.Embedding(4, 3, padding_idx=0)
    seen: list[Tensor] = []

    def losses_at(step: int, progress: float) -> tuple[Tensor, Tensor]:
        seen.append(toy.bias.detach().clone())
        told = words(torch.tensor([1, 2])) @ toy.matrix + toy.bias
        return torch.tensor([10, 900]), (told - 1).square().mean(1)

    args = argparse.Namespace(lr=0.1, decay=0.4, ema=0.5, out=tmp_path)
    with torch.enable_grad():
        train_tiny.learn(toy, words, losses_at, lambda step: step / 20, args, rank=0, ranks=1)
    seen.append(toy.bias.detach().clone())
    average = seen[0]
    for k, after in enumerate(seen[1:]):
        share = 1 - min(0.5, (k + 1) / (k + 10))
        average = (1 - share) * average + share * after
    saved = torch.load(tmp_path / "ema.pt", weights_only=True)
    torch.testing.assert_close(saved["unet.bias"].float(), average, rtol=2e-3, atol=1e-5)
    assert not torch.allclose(average, seen[-1], rtol=1e-2)


def test_losses_of_clips_that_are_noisy_in_all_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that answers x_t misses the clip by (alpha - 1) x + sigma eps."""

    class Echo(nn.Module):
        def forward(self, noisy: Tensor, t: Tensor, encoder_hidden_states: Tensor) -> argparse.Namespace:
            assert torch.equal(encoder_hidden_states[:4], text[:1].expand(4, -1, -1))
            return argparse.Namespace(sample=noisy)

    latents, noise = torch.randn(2, 2, 3, 4, 2, 2)
    text, t = torch.randn(2, 2, 5), torch.tensor([100, 800])
    monkeypatch.setattr(torch, "randn_like", lambda _: noise)
    found = losses(Echo(), scheduler(), text, latents, t)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alphas = (1 - betas).cumprod(0).sqrt()
    for b in range(2):
        alpha = alphas[t[b]].item()
        sigma = (1 - alpha**2) ** 0.5
        missed = (alpha - 1) * latents[b] + sigma * noise[b]
        torch.testing.assert_close(found[b], missed.square().mean(), rtol=1e-4, atol=1e-6)
