"""What the pack does with ComfyUI's memory, previews and stops."""

import dataclasses
import html
import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from comfyui_miva.nodes import MIVASampler, comfy_bridge
from fake_comfyui import FakeComfyUI, Interrupted
from node_runs import motion, run_unchecked
from torch import nn


def test_networks_are_brought_whole_by_the_plain_patcher(comfyui: FakeComfyUI) -> None:
    """That of Dynamic VRAM would copy what it cannot stream for every prompt anew."""
    patcher = comfy_bridge.make_patcher(nn.Linear(2, 2))
    assert type(patcher) is comfyui.modules["comfy.model_patcher"].ModelPatcher
    comfy_bridge.load_to_device([patcher], 5)
    assert comfyui.loads == [([patcher], 5, {"force_full_load": True})]
    assert patcher.forced == []


def test_what_was_left_behind_is_brought_nevertheless(comfyui: FakeComfyUI) -> None:
    """As with --novram, where a part of a network stays in main memory, which these cannot compute from."""
    network = nn.Sequential(nn.Linear(2, 2, device="meta"), nn.Linear(2, 2))
    patcher = comfy_bridge.make_patcher(network)
    patcher.load_device = torch.device("meta")
    comfy_bridge.load_to_device([patcher], 0)
    # A network that is loaded in part counts as loaded, until it is taken off.
    assert patcher.forced == ["detached", 1e32]


def test_networks_are_brought_outside_of_inference_mode(comfyui: FakeComfyUI, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made in it cannot be trained with."""
    found = []
    memory = comfyui.modules["comfy.model_management"]
    monkeypatch.setattr(memory, "load_models_gpu", lambda *_, **__: found.append(torch.is_inference_mode_enabled()))
    with torch.inference_mode():
        comfy_bridge.load_to_device([comfy_bridge.make_patcher(nn.Linear(2, 2))], 0)
    assert found == [False]


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_taken_where_the_device_has_it(comfyui: FakeComfyUI, half: torch.dtype) -> None:
    assert comfy_bridge.working_dtype(half) == torch.float32
    comfyui.half = True
    assert comfy_bridge.working_dtype(half) == half


def named(model: Any, name: str) -> Any:
    """The built-in base under the name of another, which paints its frames."""
    return dataclasses.replace(model, base=dataclasses.replace(model.base, name=name, predicts_flow=False))


@pytest.mark.parametrize(("name", "kind"), [("animatediff", "SD15"), ("wan", "Wan21")])
def test_other_bases_are_shown_by_comfyui_itself(
    model: Any, shapes: Any, comfyui: FakeComfyUI, name: str, kind: str
) -> None:
    """Through the name in its module, which other packs put their own previewers into."""
    asked, previewed = [], []

    def show(form: str, latents: torch.Tensor) -> str:
        previewed.append(latents)
        return f"{form} {len(previewed)}"

    def previewer(device: Any, latent_format: Any) -> Any:
        asked.append(type(latent_format).__name__)
        return SimpleNamespace(decode_latent_to_preview_image=show)

    comfyui.modules["latent_preview"].get_previewer = previewer
    output = run_unchecked(MIVASampler, model=named(model, name), mivas=motion(), image=shapes, steps=3, frames=5)
    assert asked == [kind]
    assert comfyui.previews == ["JPEG 1", "JPEG 2", "JPEG 3"]
    # Frames are the batch of AnimateDiff and a dimension of Wan; the frame that is shown, here the last, comes first.
    assert [tuple(latents.shape)[:2] for latents in previewed] == [((5, 32) if kind == "SD15" else (1, 32))] * 3
    first = previewed[-1][None, 0] if kind == "SD15" else previewed[-1][:, :, 0]
    assert (model.base.decode(first[:, :, None])[0] - output[0][-1]).abs().max() < 1e-4


def test_previews_can_be_switched_off(model: Any, shapes: Any, comfyui: FakeComfyUI) -> None:
    arguments = comfyui.modules["comfy.cli_args"].args
    arguments.preview_method = comfyui.modules["comfy.cli_args"].LatentPreviewMethod.NoPreviews
    run_unchecked(MIVASampler, model=model, mivas=motion(), image=shapes, steps=2, frames=2)
    assert comfyui.previews == [] and comfyui.progress == [(done, 4) for done in range(1, 5)]


def test_a_comfyui_without_previewer_shows_progress_alone(model: Any, shapes: Any, comfyui: FakeComfyUI) -> None:
    run_unchecked(MIVASampler, model=named(model, "animatediff"), mivas=motion(), image=shapes, steps=2, frames=2)
    assert comfyui.previews == [] and comfyui.progress == [(1, 2), (2, 2)]


def test_a_stop_can_wait_until_the_work_is_safe(comfyui: FakeComfyUI) -> None:
    late = comfy_bridge.LateInterruption()
    late.raise_if_asked()
    assert not late.asked()
    comfyui.stopped = True
    assert late.asked()
    with late.deferred():
        comfy_bridge.ProgressBar().update(1, 2)
    assert not comfyui.stopped  # ComfyUI forgets a stop once it is told
    assert late.asked()
    with pytest.raises(Interrupted):
        late.raise_if_asked()


def test_a_stop_that_no_bar_has_met_is_raised_too(comfyui: FakeComfyUI) -> None:
    late = comfy_bridge.LateInterruption()
    comfyui.stopped = True
    with pytest.raises(Interrupted):
        late.raise_if_asked()
    with pytest.raises(ZeroDivisionError), late.deferred():
        raise ZeroDivisionError


TEXTS = [
    "<img src=x onerror=alert(1)>",
    "&lt;b&gt; &amp; &#60;",
    "[[safe|https://evil.example]] [safe](//evil.example) ![](//evil.example/x.png)",
    "[[[a|b]] http://a.b www.c.d WWW.c.d ada@example.org __LNK0__ ___LNK1__",
    "*a* **b** _c_ __d__ ~e~ `f` \\* | g",
    "# a\n- b\n+ c\n1. d\n20) e\n    f\n===\n---\n> g\n:-:|:-:",
]


@pytest.mark.parametrize("text", TEXTS)
def test_what_a_page_is_given_reads_to_the_letter_and_is_no_markup(text: str) -> None:
    """By a decoder of entities, and by what frontends (1.37 to 1.49) and CommonMark look for."""
    markup = comfy_bridge.as_markup(text)
    assert html.unescape(markup) == text.replace("\n", "  \n")
    assert not re.search(r"[<>`*~|\\\[]|://|(?i:www\.)|\w@\w|__LNK\d|(?<![a-z0-9])_|_(?![a-z0-9])", markup)
    assert not re.search(r"(?m)^([-+=:# >]|\d+[.)])", markup)
    assert not re.search(r"&(?!#\d+;)", markup)


def test_usual_texts_stay_as_they_are() -> None:
    for text in (
        "pan_left runs at the weight 2: it moves more than at 1, and the picture suffers.",
        "16 frames of 64×64, 8 a second.",
        "牧: 0.5 (a)",
    ):
        assert comfy_bridge.as_markup(text) == text
    assert comfy_bridge.as_markup("one\n\ntwo") == "one  \n  \ntwo"
