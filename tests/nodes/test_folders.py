"""What the pack does with ComfyUI's folders."""

import asyncio
import hashlib
import logging
import os
from pathlib import Path

import pytest
from comfyui_miva.nodes import comfy_entrypoint
from comfyui_miva.nodes.comfy_bridge import comfy_folders
from fake_comfyui import FakeComfyUI
from node_pack import PICTURES

from miva_core.bases.miramo.spec import SHIPPED as SHIPPED_MIRAMO
from miva_core.bases.tiny.spec import SHIPPED


def load_pack_into_comfyui() -> None:
    async def load() -> None:
        await (await comfy_entrypoint()).on_load()

    asyncio.run(load())


def registered(comfyui: FakeComfyUI) -> dict[str, tuple[list[str], set[str]]]:
    return comfyui.modules["folder_paths"].folder_names_and_paths


def test_folders_of_models_are_known_and_those_of_others_stay(comfyui: FakeComfyUI) -> None:
    """extra_model_paths.yaml and other packs may have named them before."""
    registered(comfyui).clear()
    registered(comfyui)["sam2"] = (["/elsewhere/sam2"], {".onnx"})
    registered(comfyui)["grounding-dino"] = (["/elsewhere/dino"], set())  # which lists every file
    registered(comfyui)["miva"] = (["/elsewhere/miva"], {".ckpt"})
    registered(comfyui)["checkpoints"] = (["/elsewhere/checkpoints"], {".ckpt"})
    load_pack_into_comfyui()
    models = comfyui.models
    files = {".safetensors", ".ckpt", ".pt", ".pth"}
    assert registered(comfyui) == {
        "checkpoints": (["/elsewhere/checkpoints"], {".ckpt"}),
        "sam2": (["/elsewhere/sam2", str(models / "sam2")], files | {".onnx"}),
        "miva": (["/elsewhere/miva", str(models / "miva"), str(SHIPPED_MIRAMO), str(SHIPPED)], {".safetensors"}),
        "animatediff_models": ([str(models / "animatediff_models")], files),
        "grounding-dino": (["/elsewhere/dino", str(models / "grounding-dino")], files),
    }
    assert (models / "miva").is_dir()


def test_to_be_loaded_twice_changes_nothing(comfyui: FakeComfyUI) -> None:
    load_pack_into_comfyui()
    before = {name: (list(paths), set(endings)) for name, (paths, endings) in registered(comfyui).items()}
    load_pack_into_comfyui()
    assert registered(comfyui) == before


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
    monkeypatch.setattr(comfy_folders, "EXAMPLES", examples)
    comfyui.input.rmdir()
    comfyui.input.write_text("a file")
    load_pack_into_comfyui()
    assert r"\x1b[31mmodels" in caplog.text and r"\x1b[31mred.png" in caplog.text and "\x1b[31m" not in caplog.text


def test_pictures_of_the_examples_are_laid_out_where_they_are_missing(comfyui: FakeComfyUI) -> None:
    picture = comfyui.input / "miva_shapes.jpg"
    picture.write_bytes(b"the artist's own")
    load_pack_into_comfyui()
    assert picture.read_bytes() == b"the artist's own"
    expected = {path.relative_to(PICTURES) for path in PICTURES.rglob("*") if path.is_file()}
    laid = {path.relative_to(comfyui.input) for path in comfyui.input.rglob("*") if path.is_file()}
    assert laid == expected and Path("miva_stills") in {path.parent for path in laid}
    other = comfyui.input / "miva_petra.jpg"
    assert other.read_bytes() == (PICTURES / "miva_petra.jpg").read_bytes()
    changed = other.stat().st_mtime_ns
    load_pack_into_comfyui()
    assert other.stat().st_mtime_ns == changed


def test_pictures_of_an_earlier_release_are_renewed(comfyui: FakeComfyUI, monkeypatch: pytest.MonkeyPatch) -> None:
    """They were smaller; a picture of the artist's own by such a name is none of them."""
    names = ("miva_petra.jpg", "miva_lemurs.jpg")
    monkeypatch.setitem(comfy_folders.EARLIER, names[0], hashlib.sha256(b"a small picture").hexdigest())
    for name, content in zip(names, (b"a small picture", b"the artist's own"), strict=True):
        (comfyui.input / name).write_bytes(content)
    load_pack_into_comfyui()
    assert (comfyui.input / names[0]).read_bytes() == (PICTURES / names[0]).read_bytes()
    assert (comfyui.input / names[1]).read_bytes() == b"the artist's own"


def test_no_picture_is_taken_for_an_earlier_one_of_itself() -> None:
    """Or it would be put there again at each start."""
    for name, digest in comfy_folders.EARLIER.items():
        assert hashlib.sha256((PICTURES / name).read_bytes()).hexdigest() != digest


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
    assert comfy_folders.input_folders() == ["a", "b", "b/deep"]
    assert comfy_folders.input_folder("b/deep") == comfyui.input / "b" / "deep"
    for name in ("..", "../input/a", ".hidden", str(comfyui.input / "a"), "c", ""):
        assert comfy_folders.input_folder(name) is None


def test_folders_of_masks_beside_their_clips_are_not_listed(comfyui: FakeComfyUI) -> None:
    for name in ("mine/a", "mine/a_masks", "mine/B_Mask", "mine/b_beside_masks", "my_masks"):
        (comfyui.input / name).mkdir(parents=True)
    (comfyui.input / "mine" / "b.mp4").touch()
    (comfyui.input / "my.png").touch()
    assert comfy_folders.input_folders() == ["mine", "mine/a", "my_masks"]
    # A graph that names one all the same is not told that it is gone.
    assert comfy_folders.input_folder("mine/a_masks") == comfyui.input / "mine" / "a_masks"


def test_there_is_no_way_out_of_a_folder_of_models(comfyui: FakeComfyUI) -> None:
    comfyui.add("checkpoints", "secret.safetensors")
    assert comfy_folders.file_in("miva", "../checkpoints/secret.safetensors") is None
    assert comfy_folders.file_in("checkpoints", "secret.safetensors") is not None


def test_the_log_is_quiet_when_all_is_well(comfyui: FakeComfyUI, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        load_pack_into_comfyui()
    assert caplog.records == []
