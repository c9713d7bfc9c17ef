"""What the pack does with ComfyUI's folders, memory, previews and stops."""

import asyncio
import dataclasses
import html
import logging
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from comfyui_miva.nodes import MIVASampler, comfy_bridge, comfy_entrypoint
from fake_comfyui import FakeComfyUI, Interrupted
from node_pack import PICTURES
from node_runs import motion, run_unchecked
from torch import nn

from miva_core.bases.tiny.spec import SHIPPED


def load_pack_into_comfyui() -> None:
    async def load() -> None:
        await (await comfy_entrypoint()).on_load()

    asyncio.run(load())


def known(comfyui: FakeComfyUI) -> dict[str, tuple[list[str], set[str]]]:
    return comfyui.modules["folder_paths"].folder_names_and_paths


def test_folders_of_models_are_known_and_those_of_others_stay(comfyui: FakeComfyUI) -> None:
    """extra_model_paths.yaml and other packs may have named them before."""
    known(comfyui).clear()
    known(comfyui)["sam2"] = (["/elsewhere/sam2"], {".onnx"})
    known(comfyui)["grounding-dino"] = (["/elsewhere/dino"], set())  # which lists every file
    known(comfyui)["miva"] = (["/elsewhere/miva"], {".ckpt"})
    known(comfyui)["checkpoints"] = (["/elsewhere/checkpoints"], {".ckpt"})
    load_pack_into_comfyui()
    models = comfyui.models
    files = {".safetensors", ".ckpt", ".pt", ".pth"}
    assert known(comfyui) == {
        "checkpoints": (["/elsewhere/checkpoints"], {".ckpt"}),
        "sam2": (["/elsewhere/sam2", str(models / "sam2")], files | {".onnx"}),
        "miva": (["/elsewhere/miva", str(models / "miva"), str(SHIPPED)], {".safetensors"}),
        "animatediff_models": ([str(models / "animatediff_models")], files),
        "grounding-dino": (["/elsewhere/dino", str(models / "grounding-dino")], files),
    }
    assert (models / "miva").is_dir()


def test_to_be_loaded_twice_changes_nothing(comfyui: FakeComfyUI) -> None:
    load_pack_into_comfyui()
    before = {name: (list(paths), set(endings)) for name, (paths, endings) in known(comfyui).items()}
    load_pack_into_comfyui()
    assert known(comfyui) == before


def test_a_folder_that_cannot_be_made_stops_nothing(comfyui: FakeComfyUI, caplog: pytest.LogCaptureFixture) -> None:
    (comfyui.models / "miva").rmdir()
    comfyui.models.joinpath("miva").write_text("a file")
    load_pack_into_comfyui()
    assert f"The folder {comfyui.models / 'miva'} cannot be made" in caplog.text


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_no_code_of_a_terminal_is_logged(
    comfyui: FakeComfyUI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    models, examples = tmp_path / "\x1b[31mmodels", tmp_path / "examples"
    models.write_text("a file")
    comfyui.modules["folder_paths"].models_dir = str(models)
    examples.mkdir()
    (examples / "\x1b[31mred.png").touch()
    monkeypatch.setattr(comfy_bridge, "EXAMPLES", examples)
    comfyui.input.rmdir()
    comfyui.input.write_text("a file")
    load_pack_into_comfyui()
    assert r"\x1b[31mmodels" in caplog.text and r"\x1b[31mred.png" in caplog.text and "\x1b[31m" not in caplog.text


def test_pictures_of_the_examples_are_laid_out_where_they_are_missing(comfyui: FakeComfyUI) -> None:
    own = comfyui.input / "miva_shapes.jpg"
    own.write_bytes(b"the artist's own")
    load_pack_into_comfyui()
    assert own.read_bytes() == b"the artist's own"
    expected = {path.relative_to(PICTURES) for path in PICTURES.rglob("*") if path.is_file()}
    laid = {path.relative_to(comfyui.input) for path in comfyui.input.rglob("*") if path.is_file()}
    assert laid == expected and Path("miva_stills") in {path.parent for path in laid}
    other = comfyui.input / "miva_petra.jpg"
    assert other.read_bytes() == (PICTURES / "miva_petra.jpg").read_bytes()
    changed = other.stat().st_mtime_ns
    load_pack_into_comfyui()
    assert other.stat().st_mtime_ns == changed


def test_an_input_folder_that_cannot_be_written_stops_nothing(
    comfyui: FakeComfyUI, caplog: pytest.LogCaptureFixture
) -> None:
    comfyui.input.rmdir()
    comfyui.input.write_text("a file")
    load_pack_into_comfyui()
    assert "could not be put into the input folder" in caplog.text


def test_folders_of_the_input_folder_are_listed_but_for_hidden_ones(comfyui: FakeComfyUI) -> None:
    for name in ("b/deep", "a", ".hidden/inside"):
        (comfyui.input / name).mkdir(parents=True)
    (comfyui.input / "file.png").touch()
    assert comfy_bridge.input_folders() == ["a", "b", "b/deep"]
    assert comfy_bridge.input_folder("b/deep") == comfyui.input / "b" / "deep"
    for name in ("..", "../input/a", ".hidden", str(comfyui.input / "a"), "c", ""):
        assert comfy_bridge.input_folder(name) is None


def test_folders_of_masks_beside_their_clips_are_not_listed(comfyui: FakeComfyUI) -> None:
    for name in ("mine/a", "mine/a_masks", "mine/B_Mask", "mine/b_beside_masks", "my_masks"):
        (comfyui.input / name).mkdir(parents=True)
    (comfyui.input / "mine" / "b.mp4").touch()
    (comfyui.input / "my.png").touch()
    assert comfy_bridge.input_folders() == ["mine", "mine/a", "my_masks"]
    # A graph that names one all the same is not told that it is gone.
    assert comfy_bridge.input_folder("mine/a_masks") == comfyui.input / "mine" / "a_masks"


def test_there_is_no_way_out_of_a_folder_of_models(comfyui: FakeComfyUI) -> None:
    comfyui.add("checkpoints", "secret.safetensors")
    assert comfy_bridge.file_in("miva", "../checkpoints/secret.safetensors") is None
    assert comfy_bridge.file_in("checkpoints", "secret.safetensors") is not None


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
    """The built-in base under the name of another."""
    return dataclasses.replace(model, base=dataclasses.replace(model.base, name=name))


@pytest.mark.parametrize(("name", "kind"), [("animatediff", "SD15"), ("wan", "Wan21")])
def test_other_bases_are_shown_by_comfyui_itself(
    model: Any, shapes: Any, comfyui: FakeComfyUI, name: str, kind: str
) -> None:
    """Through the name in its module, which other packs put their own previewers into."""
    asked, given = [], []

    def show(form: str, latents: torch.Tensor) -> str:
        given.append(latents)
        return f"{form} {len(given)}"

    def previewer(device: Any, latent_format: Any) -> Any:
        asked.append(type(latent_format).__name__)
        return SimpleNamespace(decode_latent_to_preview_image=show)

    comfyui.modules["latent_preview"].get_previewer = previewer
    output = run_unchecked(MIVASampler, model=named(model, name), mivas=motion(), image=shapes, steps=3, frames=5)
    assert asked == [kind]
    assert comfyui.previews == ["JPEG 1", "JPEG 2", "JPEG 3"]
    # Frames are the batch of AnimateDiff and a dimension of Wan; the frame that is shown, here the last, comes first.
    assert [tuple(latents.shape)[:2] for latents in given] == [((5, 32) if kind == "SD15" else (1, 32))] * 3
    first = given[-1][None, 0] if kind == "SD15" else given[-1][:, :, 0]
    assert (model.base.decode(first[:, :, None])[0] - output[0][-1]).abs().max() < 1e-4


def test_previews_can_be_switched_off(model: Any, shapes: Any, comfyui: FakeComfyUI) -> None:
    arguments = comfyui.modules["comfy.cli_args"].args
    arguments.preview_method = comfyui.modules["comfy.cli_args"].LatentPreviewMethod.NoPreviews
    run_unchecked(MIVASampler, model=model, mivas=motion(), image=shapes, steps=2, frames=2)
    assert comfyui.previews == [] and comfyui.progress == [(1, 2), (2, 2)]


def test_a_comfyui_without_previewer_shows_progress_alone(model: Any, shapes: Any, comfyui: FakeComfyUI) -> None:
    run_unchecked(MIVASampler, model=named(model, "animatediff"), mivas=motion(), image=shapes, steps=2, frames=2)
    assert comfyui.previews == [] and comfyui.progress == [(1, 2), (2, 2)]


def test_a_stop_can_wait_until_the_work_is_safe(comfyui: FakeComfyUI) -> None:
    late = comfy_bridge.LateInterruption()
    late.raise_if_asked()
    assert not late.asked()
    comfyui.stopped = True
    assert late.asked()
    with late.put_off():
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
    with pytest.raises(ZeroDivisionError), late.put_off():
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
    given = comfy_bridge.as_markup(text)
    assert html.unescape(given) == text.replace("\n", "  \n")
    assert not re.search(r"[<>`*~|\\\[]|://|(?i:www\.)|\w@\w|__LNK\d|(?<![a-z0-9])_|_(?![a-z0-9])", given)
    assert not re.search(r"(?m)^([-+=:# >]|\d+[.)])", given)
    assert not re.search(r"&(?!#\d+;)", given)


def test_usual_texts_stay_as_they_are() -> None:
    for text in (
        "pan_left runs at the weight 2; it was trained at 1.",
        "16 frames of 64×64, 8 a second.",
        "牧: 0.5 (a)",
    ):
        assert comfy_bridge.as_markup(text) == text
    assert comfy_bridge.as_markup("one\n\ntwo") == "one  \n  \ntwo"


def test_the_log_is_quiet_when_all_is_well(comfyui: FakeComfyUI, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        load_pack_into_comfyui()
    assert caplog.records == []
