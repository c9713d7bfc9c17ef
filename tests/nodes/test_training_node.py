"""Train MIVA: what it learns, and that stopping it loses nothing."""

import importlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comfyui_miva.miva_core.errors import MIVAError
from comfyui_miva.nodes import (
    MIVACameraClips,
    MIVADataset,
    MIVAInfo,
    MIVASampler,
    MIVASave,
    MIVATrain,
    comfy_bridge,
    training,
)
from fake_comfyui import FakeComfyUI, Interrupted
from node_runs import bound, motion, run, shown
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from miva_core.bases.base import Base
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.clips.training_clip import TrainingClip
from miva_core.media.contact_sheet import contact_sheet
from miva_core.training.options import TrainOptions
from miva_core.training.recipes import recipe
from miva_core.training.run import train_and_save
from miva_core.training.training_set import TrainingSet


@pytest.fixture(scope="module")
def batches() -> list[Tensor]:
    """Two clips (5, 64, 64, 3) of a bright square that moves to the right over noise."""
    made = []
    for seed in (0, 1):
        clip = (torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(seed)) * 0.4).repeat(5, 1, 1, 1)
        for k in range(5):
            clip[k, 20:36, 10 + 6 * k : 26 + 6 * k] = 0.9
        made.append(clip)
    return made


@pytest.fixture
def dataset(quick_model: Any, batches: list[Tensor]) -> Any:
    """MIVA_DATASET of two clips with masks."""
    masks = [(batch.amin(-1) > 0.5).float() for batch in batches]
    chosen = {"clips": "connected", "videos": batches, "masks": masks}
    return run(MIVADataset, model=quick_model, clips=chosen)[0]


def written(comfyui: FakeComfyUI) -> list[Path]:
    """Adapter files that trainings have made."""
    found = comfyui.output.glob("miva_training/*/*.safetensors")
    return sorted(found)


def about(path: Path) -> dict[str, Any]:
    """The header of an adapter file, read without the engine."""
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["miva"])


def test_a_motion_is_learnt_as_the_engine_learns_it(
    quick_model: Any, dataset: Any, batches: list[Tensor], engine: Base, comfyui: FakeComfyUI, tmp_path: Path
) -> None:
    settings = {"name": "my slide", "steps": 2, "seed": 4, "subject": "square", "try_on": batches[0][:1]}
    output = run(MIVATrain, model=quick_model, dataset=dataset, **settings)
    (path,) = written(comfyui)
    assert path.name == "my_slide.safetensors" and path.parent.name.startswith("my_slide_")
    (entry,) = output[0]
    assert (entry.path, entry.strength, entry.mask) == (path, 1.0, None)
    assert len(output[1]["loss"]) == 2
    assert shown(output) == (
        "Learnt in 2 of the 300 steps of `normal`: expect a weak or smeared motion (`steps` 0 takes all). "
        f"It is kept as {path.parent.name}"
    )
    clips = [
        TrainingClip(f"clip {k + 1}", (batch * 255).round().byte().movedim(-1, 1).contiguous(), clip.masks.clone())
        for k, (batch, clip) in enumerate(zip(batches, dataset.clips, strict=True))
    ]
    base = replace(engine, frames=4, steps=1)
    chosen = replace(recipe("tiny"), steps=2)
    training_set = TrainingSet("my slide", clips, flip=True, subject="square")
    same = train_and_save(base, training_set, chosen, tmp_path / "same.safetensors", options=TrainOptions(seed=4))
    assert list(same.losses) == output[1]["loss"]
    mine, of_engine = load_file(path), load_file(tmp_path / "same.safetensors")
    assert mine.keys() == of_engine.keys()
    assert all(torch.equal(mine[key], of_engine[key]) for key in mine)
    header = about(path)
    assert (header["motion"], header["subject"], header["frames"]) == ("my slide", "square", 4)
    record = header["training"]
    assert (record["steps"], record["seed"], record["clips"], record["flip"]) == (2, 4, 2, True)
    assert record["names"] == "clip 1, clip 2"


def test_progress_samples_and_the_curve_are_shown(quick_model: Any, dataset: Any, comfyui: FakeComfyUI) -> None:
    pictures = torch.rand(3, 80, 48, 3, generator=torch.Generator().manual_seed(1))
    output = run(MIVATrain, model=quick_model, dataset=dataset, steps=2, try_on=pictures)
    assert comfyui.progress == [(1, 4), (2, 4), (3, 4), (4, 4)]  # two clips encoded, and two steps done
    assert len(comfyui.previews) == 2
    (path,) = written(comfyui)
    folder = path.with_suffix(".training")
    assert {"loss.png", "report.html", "samples_000001.png", "samples_000002.png"} <= {p.name for p in folder.iterdir()}
    sheet, curve = Image.open(folder / "samples_000002.png"), Image.open(folder / "loss.png")
    assert tuple(output[2].shape[1:3]) == sheet.size[::-1]
    assert (output[2][0] * 255 - torch.from_numpy(np.array(sheet))).abs().max() < 0.5
    assert comfyui.previews[-1][1].height == sheet.height + curve.height
    patchers, needed, _ = comfyui.loads[0]
    assert [patcher.model.network for patcher in patchers][:2] == list(quick_model.base.networks)
    assert needed > 0


def test_a_motion_with_a_degree_keeps_it_when_it_learns_more(
    quick_model: Any, dataset: Any, comfyui: FakeComfyUI
) -> None:
    output = run(MIVATrain, model=quick_model, dataset=dataset, steps=1, start=motion("pan_left"))
    assert "The motion to begin with has a degree, and learns at its usual one" in shown(output)
    (path,) = written(comfyui)
    assert about(path)["degree"] == about(SHIPPED / "pan_left.safetensors")["degree"]
    new, old = (load_file(file) for file in (path, SHIPPED / "pan_left.safetensors"))
    assert {key for key in new if torch.equal(new[key], old[key])} >= {key for key in new if key.endswith("degree")}
    assert any(not torch.equal(new[key], old[key]) for key in new)


def test_a_degree_is_learnt_from_stills_that_are_filmed_at_many_speeds(
    quick_model: Any, shapes: Tensor, comfyui: FakeComfyUI
) -> None:
    chosen = {"stills": "connected", "images": shapes}
    clips = run(MIVACameraClips, model=quick_model, stills=chosen, motion="pan-left", vary_speed=True)[0]
    run(MIVATrain, model=quick_model, dataset=clips, steps=1, degree="flow", try_on=torch.rand(1, 64, 64, 3))
    (path,) = written(comfyui)
    known = about(path)["degree"]
    assert known["measure"] == "flow" and known["speeds"][0] < 0.5 < 1 < known["speeds"][-1]
    assert any(key.endswith("degree") for key in load_file(path))


def test_a_degree_is_learnt_from_clips_that_are_longer_than_those_of_the_base(
    quick_model: Any, batches: list[Tensor], comfyui: FakeComfyUI
) -> None:
    """Every frame of them, and every second one, are two speeds."""
    longer = [torch.cat([batch, batch[1:-1].flip(0)])[:7] for batch in batches]
    clips = run(MIVADataset, model=quick_model, clips={"clips": "connected", "videos": longer})[0]
    run(MIVATrain, model=quick_model, dataset=clips, steps=1, degree="ms-ssim", try_on=torch.rand(1, 64, 64, 3))
    (path,) = written(comfyui)
    known = about(path)["degree"]
    assert known["measure"] == "ms-ssim" and known["speeds"][-1] > 1.3 * known["speeds"][0]


def test_clips_of_one_speed_teach_no_degree(quick_model: Any, shapes: Tensor, comfyui: FakeComfyUI) -> None:
    chosen = {"stills": "connected", "images": shapes}
    clips = run(MIVACameraClips, model=quick_model, stills=chosen, motion="pan-left")[0]
    with pytest.raises(
        MIVAError, match=r"All clips move at about 1\.\d\d pixels a frame.*\(in Train MIVA: degree off\)"
    ):
        run(MIVATrain, model=quick_model, dataset=clips, steps=1, degree="flow")
    assert written(comfyui) == []


def test_the_same_training_is_not_done_twice(quick_model: Any, dataset: Any, comfyui: FakeComfyUI) -> None:
    first = run(MIVATrain, model=quick_model, dataset=dataset, steps=2)
    (path,) = written(comfyui)
    changed = path.stat().st_mtime_ns
    comfyui.progress.clear()
    again = run(MIVATrain, model=quick_model, dataset=dataset, steps=2)
    assert comfyui.progress == [] and path.stat().st_mtime_ns == changed
    assert again[0] == first[0] and again[1] == first[1] and torch.equal(again[2], first[2])


def test_other_pictures_to_try_are_tried_when_it_has_learnt(
    quick_model: Any, dataset: Any, comfyui: FakeComfyUI
) -> None:
    pictures = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    settings = {"model": quick_model, "dataset": dataset, "steps": 2}
    first = run(MIVATrain, try_on=pictures[:1], **settings)
    (path,) = written(comfyui)
    changed = path.stat().st_mtime_ns
    comfyui.progress.clear()
    other = run(MIVATrain, try_on=pictures[1:], **settings)
    assert other[0] == first[0] and path.stat().st_mtime_ns == changed
    assert comfyui.progress == [(1, 1)]  # the one step of this base
    clip = run(MIVASampler, model=quick_model, mivas=first[0], image=pictures[1:], seed=0, render="latents")[0]
    sheet = contact_sheet([("picture 1", clip)], 1).float() / 255
    assert torch.equal(other[2][0], sheet) and not torch.equal(other[2], first[2])
    comfyui.progress.clear()
    assert torch.equal(run(MIVATrain, try_on=pictures[:1], **settings)[2], first[2])
    assert torch.equal(run(MIVATrain, try_on=pictures[1:], **settings)[2], other[2])
    assert comfyui.progress == []


def test_a_result_that_was_deleted_is_made_again(quick_model: Any, dataset: Any, comfyui: FakeComfyUI) -> None:
    """ComfyUI runs a node again when its fingerprint changes, and else keeps a result that leads nowhere."""

    def fingerprint(seed: int, later: Sequence[str] = ()) -> Any:
        inputs = MIVATrain.define_schema().inputs
        widgets = {one.id: getattr(one, "default", None) for one in inputs if one.id not in later}
        flip = {"flip": "unless it has a direction"}
        return MIVATrain.fingerprint_inputs(**widgets | flip | {"steps": 1, "seed": seed})

    def trained(seed: int) -> Path:
        return run(MIVATrain, model=quick_model, dataset=dataset, steps=1, seed=seed)[0][0].path

    paths, met = {seed: trained(seed) for seed in (0, 1)}, [fingerprint(0)]
    other = fingerprint(1)
    for _ in range(2):
        shutil.rmtree(paths[0].parent)
        met.append(fingerprint(0))
        assert trained(0) == paths[0] and paths[0].exists()
        assert fingerprint(0) == met[-1]
    assert len(set(met)) == 3
    assert fingerprint(1) == other  # whose file is there still
    assert fingerprint(0, later=("degree", "guide")) == met[-1]  # in a workflow that is older than these


def test_results_of_a_long_time_are_not_held(tmp_path: Path) -> None:
    results = training.Results(size=2)
    paths = [tmp_path / f"{k}.safetensors" for k in range(4)]
    for k, path in enumerate([*paths, paths[2]]):
        path.touch()
        results.add((min(k, 1),), path)
        assert len(results) == min(k + 1, 2)
    for count, k in enumerate((3, 2), 1):  # the newest, whose widgets are the same
        paths[k].unlink()
        assert results.deletions((1,)) == count
    paths[0].unlink()
    assert results.deletions((0,)) == 0


def begin(comfyui: FakeComfyUI, model: Any, dataset: Any, **settings: Any) -> str:
    """The name of the folder of a training that is stopped at its first clip."""
    before = set(comfyui.output.glob("miva_training/*"))
    settings = {"steps": 3} | settings
    comfyui.stop_at = (1, len(dataset.clips) + settings["steps"])
    with pytest.raises(Interrupted):
        run(MIVATrain, model=model, dataset=dataset, **settings)
    (folder,) = set(comfyui.output.glob("miva_training/*")) - before
    return folder.name


def test_any_other_setting_begins_a_training_of_its_own(
    quick_model: Any, dataset: Any, batches: list[Tensor], comfyui: FakeComfyUI
) -> None:
    settings = {"steps": 3, "seed": 0}
    begin(comfyui, quick_model, dataset, **settings)
    changes = [{"seed": 1}, {"steps": 4}, {"learning_rate": 0.001}, {"flip": "no"}, {"subject": "square"}]
    changes += [{"name": "other"}, {"preset": "paper"}, {"masked": True}, {"start": motion("jump")}]
    changes += [{"degree": "flow"}, {"degree": "ms-ssim"}]
    for change in changes:
        begin(comfyui, quick_model, dataset, **settings | change)
    darker = run(MIVADataset, model=quick_model, clips={"clips": "connected", "videos": [one / 2 for one in batches]})
    begin(comfyui, quick_model, darker[0], **settings)
    # What it is tried on is no part of what is learnt.
    comfyui.stop_at = (1, 5)
    with pytest.raises(Interrupted):
        run(MIVATrain, model=quick_model, dataset=dataset, try_on=batches[0][:1], **settings)
    assert len(list(comfyui.output.glob("miva_training/*"))) == 2 + len(changes)


def test_a_stopped_training_goes_on_to_the_same_end(
    quick_model: Any, dataset: Any, batches: list[Tensor], comfyui: FakeComfyUI, tmp_path: Path
) -> None:
    comfyui.stop_at = (3, 5)  # two clips and three steps
    with pytest.raises(Interrupted):
        run(MIVATrain, model=quick_model, dataset=dataset, steps=3, try_on=batches[0][:1])
    assert written(comfyui) == []
    assert comfyui.written[-1][1] == "Stopped: 2 of 3 steps are learnt, and kept: run again to go on."
    (checkpoint,) = comfyui.output.glob("miva_training/*/*.training/checkpoint.safetensors")
    comfyui.progress.clear()
    stopped = run(MIVATrain, model=quick_model, dataset=dataset, steps=3, try_on=batches[0][:1])
    assert comfyui.progress == [(1, 5), (2, 5), (5, 5)] and checkpoint.is_file()
    (path,) = written(comfyui)
    path.parent.rename(tmp_path / "stopped")
    through = run(MIVATrain, model=quick_model, dataset=dataset, steps=3, try_on=batches[0][:1])
    assert stopped[1] == through[1]
    mine, whole = load_file(tmp_path / "stopped" / path.name), load_file(path)
    assert mine.keys() == whole.keys()
    assert all(torch.equal(mine[key], whole[key]) for key in mine)


def test_a_stop_that_the_progress_bar_meets_loses_nothing(
    quick_model: Any, dataset: Any, batches: list[Tensor], comfyui: FakeComfyUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bar raises it in the middle of a step's report, where the step is not kept yet."""
    draw = comfy_bridge.preview_of

    def draw_while_stop_is_pressed(picture: Tensor) -> Any:
        comfyui.stopped = True
        return draw(picture)

    settings = {"model": quick_model, "dataset": dataset, "steps": 3, "try_on": batches[0][:1]}
    monkeypatch.setattr(comfy_bridge, "preview_of", draw_while_stop_is_pressed)
    with pytest.raises(Interrupted):
        run(MIVATrain, **settings)
    monkeypatch.setattr(comfy_bridge, "preview_of", draw)
    comfyui.progress.clear()
    run(MIVATrain, **settings)
    assert comfyui.progress == [(1, 5), (2, 5), (5, 5)]


def test_a_stop_before_the_first_step_keeps_the_encoded_clips(
    quick_model: Any, dataset: Any, comfyui: FakeComfyUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips: list[int] = []
    codec = type(quick_model.base.codec)
    encode = codec.encode_clip
    monkeypatch.setattr(codec, "encode_clip", lambda self, frames: clips.append(1) or encode(self, frames))
    run(MIVATrain, model=quick_model, dataset=dataset, steps=1, seed=1)
    both, clips[:] = len(clips), []
    comfyui.progress.clear()
    comfyui.stop_at = (1, 3)  # two clips and a step
    with pytest.raises(Interrupted):
        run(MIVATrain, model=quick_model, dataset=dataset, steps=1)
    assert comfyui.progress == [(1, 3)] and len(clips) == both // 2
    assert comfyui.written[-1][1] == "Stopped: 1 of 2 clips are encoded, and kept: run again to go on."
    run(MIVATrain, model=quick_model, dataset=dataset, steps=1)
    assert len(clips) == both and len(written(comfyui)) == 2
    assert not list(comfyui.output.rglob("encoded"))


def test_a_stop_tells_of_no_clips_where_none_can_be_kept(
    quick_model: Any, dataset: Any, comfyui: FakeComfyUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    module = importlib.import_module("comfyui_miva.miva_core.training.kept_encodings")
    monkeypatch.setattr(module, "save_file", refuse)
    comfyui.stop_at = (1, 3)  # two clips and a step
    with pytest.raises(Interrupted), pytest.warns(Warning, match="Encoded clips are not kept"):
        run(MIVATrain, model=quick_model, dataset=dataset, steps=1)
    message = "Stopped: no step was done, and no encoded clip is kept: run again to begin anew."
    assert comfyui.written[-1][1] == message


def test_a_report_that_a_killed_training_left_out_is_made_when_it_is_run_again(
    quick_model: Any, dataset: Any, comfyui: FakeComfyUI
) -> None:
    first = run(MIVATrain, model=quick_model, dataset=dataset, steps=2)
    (path,) = written(comfyui)
    report = path.with_suffix(".training") / "report.html"
    content, changed = report.read_bytes(), path.stat().st_mtime_ns
    report.unlink()
    again = run(MIVATrain, model=quick_model, dataset=dataset, steps=2)
    assert again[1] == first[1] and path.stat().st_mtime_ns == changed and report.read_bytes() == content


def test_a_masked_motion_is_learnt_and_can_be_bound(
    quick_model: Any, model: Any, dataset: Any, batches: list[Tensor], comfyui: FakeComfyUI
) -> None:
    mask = (batches[0][:1].amin(-1) > 0.5).float()
    tried = {"try_on": batches[0][:1], "try_on_mask": mask}
    chosen = {"name": "slide", "steps": 1, "masked": True, "subject": "square"}
    output = run(MIVATrain, model=quick_model, dataset=dataset, **chosen, **tried)
    (path,) = written(comfyui)
    assert about(path)["config"]["mask"] is True
    assert any(".cfa_mask." in key for key in load_file(path))
    run(MIVASave, mivas=output[0], filename_prefix="slide")
    assert "subject: square" in run(MIVAInfo, mivas=motion("slide"))[0]
    mivas = bound("slide", mask)
    masks = run(MIVASampler, model=model, mivas=mivas, image=batches[0][:1], steps=1, frames=3)[1]
    assert torch.equal(masks[0], mask[0])


def test_a_motion_can_learn_more(quick_model: Any, dataset: Any, comfyui: FakeComfyUI) -> None:
    """By so small a rate it stays what it was; a new one would begin with zeros."""
    chosen = {"steps": 1, "learning_rate": 0.000001, "name": "jump more"}
    run(MIVATrain, model=quick_model, dataset=dataset, start=motion("jump", prev=motion("rise")), **chosen)
    (path,) = written(comfyui)
    before, after = load_file(SHIPPED / "jump.safetensors"), load_file(path)
    assert before.keys() == after.keys()
    assert max((before[key].float() - after[key].float()).abs().max() for key in before) < 1e-3
    assert about(path)["motion"] == "jump more"


@pytest.mark.parametrize(("flip", "mirrored"), [("unless it has a direction", False), ("yes", True)])
def test_what_has_a_direction_is_not_mirrored(
    quick_model: Any, dataset: Any, comfyui: FakeComfyUI, flip: str, mirrored: bool
) -> None:
    chosen = {"name": "slide_left", "flip": flip, "steps": 1, "try_on": torch.rand(1, 64, 64, 3)}
    run(MIVATrain, model=quick_model, dataset=dataset, **chosen)
    assert about(written(comfyui)[0])["training"]["flip"] is mirrored


def test_a_camera_motion_is_learnt_from_stills(quick_model: Any, shapes: Tensor, comfyui: FakeComfyUI) -> None:
    chosen = {"stills": "connected", "images": shapes}
    clips = run(MIVACameraClips, model=quick_model, stills=chosen, motion="zoom-out", speed=0.5)[0]
    run(MIVATrain, model=quick_model, dataset=clips, name="zoom", steps=1, try_on=torch.rand(1, 64, 64, 3))
    record = about(written(comfyui)[0])["training"]
    assert (record["film"], record["speed"], record["stills"], record["clips"]) == ("zoom-out", 0.5, 1, 5)
    assert record["flip"] is False


@pytest.mark.parametrize(
    ("name", "folder"),
    [("../../evil", "evil"), ("a/b\\c:d", "a_b_c_d"), ("  ", "motion"), ("ÄÖ ü", "ÄÖ_ü"), ("a\nb", "a_b")],
)
def test_a_name_leads_nowhere_else(
    quick_model: Any, dataset: Any, comfyui: FakeComfyUI, name: str, folder: str
) -> None:
    assert re.fullmatch(rf"{folder}_[0-9a-f]{{8}}", begin(comfyui, quick_model, dataset, name=name))
    assert {path.name for path in comfyui.output.iterdir()} == {"miva_training"}
