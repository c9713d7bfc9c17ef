"""ComfyUI's context windows over clips of Wan: each sees the picture first, as a short clip does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from comfy_extras.nodes_context_windows import ContextWindowsManualNode
from comfyui_miva.miva_core import MIVAError

from .adapters import planned, random_adapter
from .cases import Case
from .runs import error, sample, seeing
from .wan_models import SmallWan, wan_variant

FRAMES, LENGTH = 9, 4


@pytest.fixture(scope="module")
def case(wan: SmallWan) -> Case:
    return Case.of("wan", wan.model, wan.reference, wan.backbone)


def windowed(model: Any, fix: bool, schedule: str = "standard_static", dim: int = 2) -> Any:
    settings = {"context_stride": 1, "closed_loop": schedule == "looped_uniform", "fuse_method": "pyramid"}
    node = ContextWindowsManualNode.execute(
        *(model, LENGTH, 1, schedule), **settings, dim=dim, freenoise=False, causal_window_fix=fix
    )
    return node[0]


@pytest.mark.parametrize("schedule", ["standard_static", "looped_uniform"])
@pytest.mark.parametrize("fix", [True, False])
def test_each_window_is_a_clip_that_begins_with_the_picture(case: Case, fix: bool, schedule: str) -> None:
    adapter = random_adapter(case.backbone)
    latent = torch.zeros(1, 16, FRAMES, 8, 12)
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(1))
    model = windowed(case.applied(planned(adapter), frames=FRAMES), fix, schedule)
    picture = case.model.model.process_latent_in(case.picture)
    with seeing(model) as seen:
        clip = sample(model, latent, case.positive, steps=1, noise=noise)
    shown = torch.cat([picture, noise[:, :, 1:]], dim=2)
    assert len(seen.x) > 2
    for call, x in enumerate(seen.x):
        window = list(seen.options[call]["context_window"].index_list)
        ahead = [] if window[0] == 0 else [0]
        assert torch.equal(x, shown[:, :, [*ahead, *window]])
        assert error(seen.output[call], case.expected(seen, call, {"a": (adapter, 1.0)})) < 2e-5
    assert clip.isfinite().all() and torch.equal(clip[:, :, :1], case.picture)


def test_a_clip_shorter_than_a_window_is_as_without(case: Case) -> None:
    model = case.applied(planned(random_adapter(case.backbone)))
    plain = sample(model, case.latent, case.positive)
    assert torch.equal(sample(windowed(model, True), case.latent, case.positive), plain)


def test_what_the_picture_cannot_stand_in_front_of_is_refused(case: Case) -> None:
    vace = wan_variant("vace")
    model = case.applied(planned(random_adapter(case.backbone)), model=vace, frames=FRAMES)
    latent = torch.zeros(1, 16, FRAMES, 8, 12)
    sample(windowed(model, True), latent, case.positive, steps=1)
    with pytest.raises(MIVAError) as caught:
        sample(windowed(model, False), latent, case.positive, steps=1)
    assert str(caught.value) == (
        "Motions need the picture in front of each context window: switch causal_window_fix on in the node that makes "
        "the windows."
    )


@pytest.mark.parametrize("dim", [0, 3])
def test_windows_over_anything_but_frames_are_refused(case: Case, dim: int) -> None:
    """The node begins with dimension 0, by which it makes no windows of a clip of Wan."""
    model = windowed(case.applied(planned(random_adapter(case.backbone)), frames=FRAMES), True, dim=dim)
    with seeing(model) as seen, pytest.raises(MIVAError) as caught:
        sample(model, torch.zeros(1, 16, FRAMES, 8, 12), case.positive, steps=1)
    assert not seen.x
    assert str(caught.value) == (
        f"The context windows divide dimension {dim} of the latent, but its frames are dimension 2: set `dim` to 2 in "
        "the node that makes the windows."
    )
