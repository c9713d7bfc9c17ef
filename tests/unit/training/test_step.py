"""Two processes against one with twice the batch, and what a step is made of."""

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from benchmarks import forked
from miva_core.adapters.adapter import MIVAAdapter
from miva_core.bases.base import Base
from miva_core.bases.loading import load_base
from miva_core.bases.recipe import Recipe
from miva_core.clips.training_clip import TrainingClip
from miva_core.training.latent_clips import LatentClip
from miva_core.training.loop import draw_step, train
from miva_core.training.loss import clip_losses, place_weights
from miva_core.training.options import TrainOptions
from miva_core.training.recipes import recipe
from miva_core.training.step import TrainStep
from miva_core.training.training_set import TrainingSet

WORKER = """
import sys
from pathlib import Path
import pytest, torch

@pytest.mark.parametrize("subjects", [SUBJECTS])
def test_worker(subjects, make_base, make_clips, make_recipe):
    from dataclasses import replace
    from miva_core.training.loop import train
    base, recipe = make_base(), make_recipe(steps=3, batch=BATCH, rolled_out=0.5)
    recipe = replace(recipe, config=replace(recipe.config, mask=bool(subjects)))
    outcome = train(base, make_clips(base, subjects), recipe, folder=Path(r"FOLDER"))
    (Path(r"FOLDER") / f"losses{int(outcome.is_main_process)}.txt").write_text(repr(list(outcome.losses)))
"""


def run_tests(folder: Path) -> None:
    """What a process does: the tests in a folder."""
    os.chdir(folder)
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder / "test_worker.py")]))


def run(folder: Path, processes: int, batch: int, subjects: int) -> dict[str, torch.Tensor]:
    """Three steps in so many processes of this very machine; the checkpoint's tensors."""
    folder.mkdir()
    here = Path(__file__).parents[1]
    (folder / "conftest.py").write_text((here / "conftest.py").read_text())
    source = WORKER.replace("SUBJECTS", str(subjects)).replace("BATCH", str(batch)).replace("FOLDER", str(folder))
    (folder / "test_worker.py").write_text(source)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if processes > 1:
        common |= {"WORLD_SIZE": str(processes), "ACCELERATE_USE_CPU": "true"}
    told = [folder / f"told{rank}.txt" for rank in range(processes)]
    workers = []
    for rank, output in enumerate(told):
        own = common | ({"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {})
        workers.append(forked.start(run_tests, folder, output=output, environment=own))
    for worker in workers:
        worker.join(300)
    assert all(worker.exitcode == 0 for worker in workers), "\n".join(output.read_text() for output in told)
    return load_file(folder / "checkpoint.safetensors")


@pytest.mark.parametrize("subjects", [0, 1])
def test_two_processes_are_one_with_twice_the_batch(subjects: int, tmp_path: Path) -> None:
    """AdamW's first moments are running means of gradients: equal moments after three steps are equal gradients."""
    one = run(tmp_path / "one", processes=1, batch=4, subjects=subjects)
    two = run(tmp_path / "two", processes=2, batch=2, subjects=subjects)
    assert one.keys() == two.keys()
    moments = [key for key in one if key.endswith("exp_avg")]
    assert moments
    for key in moments:
        assert one[key].abs().sum() > 0
        torch.testing.assert_close(two[key], one[key], rtol=1e-3, atol=1e-6 * one[key].abs().max().item() + 1e-9)
    torch.testing.assert_close(two["losses"], one["losses"], rtol=1e-5, atol=1e-7)
    first, other = ((tmp_path / "two" / f"losses{k}.txt").read_text() for k in (1, 0))
    assert first == other  # each process is told the loss of all


def test_a_plain_step_is_the_loss_of_its_clips_with_subjects_weighed(
    make_base: Callable[..., Base],
    make_clips: Callable[..., list[list[LatentClip]]],
    make_recipe: Callable[..., Recipe],
    make_adapter: Callable,
) -> None:
    from miva_core.bases.inject import inject
    from miva_core.training.denoiser import Denoiser, NoisedClips

    base, recipe = make_base(), make_recipe(subject=3.0)
    adapter = make_adapter(base.model)
    clips = make_clips(base, subjects=1)
    clips = [[replace(clip, mean=clip.mean[:1], std=clip.std[:1])] for (clip,) in clips]
    batch, draws = draw_step(clips, base, recipe, 0, 0, 1)
    step = TrainStep(base, adapter, recipe)
    with step.injected():
        loss = step(batch, draws)
    with inject(base.model, motion=adapter):
        weights = place_weights(batch.masks[0], 3.0)
        shown = NoisedClips(batch.latents[0], batch.noise[0], weights=weights)
        expected = clip_losses(Denoiser.of(base), shown, draws.t).mean()
    torch.testing.assert_close(loss, expected)
    unweighted = TrainStep(base, adapter, replace(recipe, subject=0.0))
    with unweighted.injected():
        assert unweighted(batch, draws) < loss


@pytest.mark.parametrize("masked", [False, True])
def test_the_built_in_base_is_told_the_flow_of_its_clips(masked: bool) -> None:
    """A subject slides by a pixel a frame: the loss with that flow, measured, is not the one without."""
    base, chosen = load_base("tiny"), replace(recipe("tiny", masked=masked), batch=1, rolled_out=0.0)
    frames = F.interpolate(torch.rand(1, 3, 16, 16), (64, 64), mode="bicubic")[0].clamp(0, 1).repeat(16, 1, 1, 1)
    masks, subject = torch.zeros(1, 16, 64, 64), frames[0, :, 20:44, 10:34].flip(0)
    for i in range(16):
        frames[i, :, 20:44, 10 + i : 34 + i] = subject
        masks[0, i, 20:44, 10 + i : 34 + i] = 1
    shown = (frames * 255).round().byte()
    training_set = TrainingSet("slide", [TrainingClip("slide", shown, (masks * 255).byte())], masked=masked)
    clips = training_set.encode(base, colours=1, seed=0)
    torch.manual_seed(0)
    step = TrainStep(base, MIVAAdapter(base.backbone, chosen.config), chosen)
    batch, draws = draw_step(clips, base, chosen, 0, 0, 1)
    on_subject = (batch.masks[0] == 1).repeat_interleave(8, -1).repeat_interleave(8, -2)
    joined = batch.flow[0].transpose(1, 2)
    for i in (1, 8, 15):
        assert (joined[0, 0, i][on_subject[0, i]] + i).abs().mean() < 0.1 * i + 0.1
    with step.injected():
        with_flow, without = step(batch, draws), step(batch._replace(flow=batch.flow[:0]), draws)
    assert with_flow > without + 0.01
    distant = batch.flow.clone()
    distant[:, :, :, 0] += 5
    with step.injected():
        assert step(batch._replace(flow=distant), draws) > with_flow


def test_accelerate_forgets_a_training_and_not_what_else_it_knew(
    make_base: Callable[..., Base],
    make_clips: Callable[..., list[list[LatentClip]]],
    make_recipe: Callable[..., Recipe],
    tmp_path: Path,
) -> None:
    """Its state is one for the whole process, and would otherwise refuse another precision."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    base = make_base()
    for precision in ("bf16", "fp32"):
        train(base, make_clips(base), make_recipe(steps=1), folder=tmp_path, options=TrainOptions(precision=precision))
        assert not AcceleratorState._shared_state
    other = Accelerator(cpu=True, mixed_precision="bf16")
    try:
        train(base, make_clips(base), make_recipe(steps=1), folder=tmp_path)
        assert other.mixed_precision == "bf16"
    finally:
        AcceleratorState._reset_state(True)
