"""Every node in a real ComfyUI: that it runs, what is kept between runs, stopping, and what users read."""

import io
import json
import shutil
from typing import Any

import numpy as np
import pytest
from PIL import Image

from . import prompts
from .prompts import animate, masked, motion, node, subject, train, words
from .server import PACK, ROOT, Server

NODES = {
    *("MIVALoadBase", "MIVALoad", "MIVAStack", "MIVABindMask", "MIVASubjectMask", "MIVADCTInitNoise", "MIVASampler"),
    *("MIVAApply", "MIVAMotionModule", "MIVAMasks", "MIVAInfo", "MIVASave", "MIVACameraClips", "MIVADataset"),
    *("MIVATrain", "MIVAStrength", "MIVASay", "MIVAFilmMotion", "MIVAFilm", "MIVATransferMotion"),
    *("MIVAMeasureMotion", "MIVAInversionNoise"),
}


def frames(server: Server, outputs: dict[str, Any], shown: str = "shown") -> np.ndarray:
    """(F, H, W, 3) uint8, of what a preview shows."""
    files = [server.view(one) for one in outputs[shown]["images"]]
    return np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files])


def test_the_pack_loads_with_all_its_nodes(server: Server) -> None:
    assert "IMPORT FAILED" not in server.start_log
    assert "Traceback" not in server.start_log
    found = {name: info for name, info in server.get("/object_info").items() if info["python_module"].endswith(PACK)}
    assert found.keys() == NODES


def test_a_motion_animates_a_picture_and_shows_how_it_goes(server: Server) -> None:
    run = server.run(animate(width=0, fps=None))
    assert run.status == "success", run.error
    clip = frames(server, run.outputs)
    assert clip.shape == (48, 576, 1024, 3)
    # The scene drifts to the right: later frames match the first one best when they are moved back.
    first, later = clip[0, ::8, ::8].astype(float), clip[18, ::8, ::8].astype(float)
    errors = {shift: np.abs(np.roll(later, -shift, axis=1) - first)[:, 16:-16].mean() for shift in range(-16, 17)}
    assert min(errors, key=errors.get) > 4
    assert run.progress[-1] == (4 + 48, 4 + 48)
    assert run.previews == 4
    note, summary = run.outputs["sampler"]["text"][0].split("\n")
    assert note.startswith("The clip shows ") and summary == "48 frames of 1024×576, 24 a second."


def test_a_clip_may_be_what_the_base_paints(server: Server) -> None:
    run = server.run(animate(width=0, fps=None, render="latents"))
    assert run.status == "success", run.error
    assert frames(server, run.outputs).shape == (16, 64, 64, 3)
    assert run.progress[-1] == (4, 4)
    changed = "The picture was centre-cropped 1024×576 to 576×576, scaled to 64×64."
    assert run.outputs["sampler"]["text"] == [f"{changed}\n16 frames of 64×64, 8 a second."]


def test_what_did_not_change_is_not_run_again(server: Server) -> None:
    server.run(animate(seed=11))
    again = server.run(animate(seed=11))
    assert not again.executed and "sampler" in again.cached
    other = server.run(animate(seed=12))
    assert other.executed == ["sampler", "shown"]
    weaker = server.run(animate(seed=12) | {"miva": motion("pan_left", 0.5)})
    assert set(weaker.executed) == {"miva", "sampler", "shown"}


def test_the_same_seed_gives_the_same_pixels_and_another_does_not(server: Server) -> None:
    first = frames(server, server.run(animate(seed=21)).outputs)
    other = frames(server, server.run(animate(seed=22)).outputs)
    again = frames(server, server.run(animate(seed=21)).outputs)
    assert (first == again).all()
    assert (first != other).any()


def test_stopping_takes_a_step_and_the_next_prompt_works(server: Server) -> None:
    stopped = server.run(animate(seed=31, steps=400), interrupt_at=3)
    assert stopped.status == "interrupted"
    assert stopped.progress[-1][0] < 50
    after = server.run(animate(seed=32))
    assert after.status == "success"
    assert after.progress[-1] == (4 + 16, 4 + 16)


def test_two_motions_stacked_are_two_motions_chained(server: Server) -> None:
    both = {"miva": motion("zoom_in", 0.5), "second": motion("jump", 0.5)}
    stack = node("MIVAStack", mivas__miva0=["miva", 0], mivas__miva1=["second", 0])
    stacked = server.run(animate(mivas=["stack", 0]) | both | {"stack": stack})
    chained = server.run(animate(mivas=["second", 0]) | both | {"second": motion("jump", 0.5, prev=["miva", 0])})
    assert stacked.status == chained.status == "success", (stacked.error, chained.error)
    assert (frames(server, stacked.outputs) == frames(server, chained.outputs)).all()


@pytest.mark.parametrize(
    "mask",
    [
        words("green circle"),
        subject(method="box", box="10,100,190,240", segmenter="by colours, without a model"),
        subject(method="points", points="75,150", segmenter=prompts.DEMO),
    ],
    ids=["words", "box", "points"],
)
def test_a_subject_is_found_and_moves_while_another_stays(server: Server, mask: dict[str, Any]) -> None:
    run = server.run(masked(mask))
    assert run.status == "success", run.error
    clip, masks = frames(server, run.outputs).astype(int), frames(server, run.outputs, "masks shown")
    green = (clip[0, ..., 1] - clip[0, ..., [0, 2]].max(0)) > 60
    overlap = (masks[0, ..., 0] > 127) & green
    assert overlap.sum() / ((masks[0, ..., 0] > 127) | green).sum() > 0.8
    yellow = (clip[0, ..., :2].min(-1) - clip[0, ..., 2]) > 60
    moved = np.abs(clip[1:] - clip[0]).mean((0, -1))
    assert moved[green].mean() > 2 * moved[yellow].mean()
    assert len(run.outputs["mask"]["images"]) == 1


def test_a_batch_of_pictures_becomes_one_clip_after_the_other(server: Server) -> None:
    short = {"steps": 2, "frames": 4}
    several = {"several": node("ImageBatch", image1=["picture", 0], image2=["picture", 0])}
    run = server.run(animate(image=["several", 0], seed=41, **short) | several)
    assert run.status == "success", run.error
    alone = [frames(server, server.run(animate(seed=seed, **short)).outputs) for seed in (41, 42)]
    assert (frames(server, run.outputs) == np.concatenate(alone)).all()
    assert run.progress[-1] == (2 * (2 + 4), 2 * (2 + 4))
    assert "2 pictures × 4 frames = 8 frames of 160×90" in run.outputs["sampler"]["text"][0]


def test_a_laplace_schedule_is_taken_and_told_to_be_none_for_this_base(server: Server) -> None:
    laplace = node("LaplaceScheduler", steps=6, sigma_max=14.614642, sigma_min=0.0291675, mu=0.0, beta=0.5)
    run = server.run(animate(sigmas=["levels", 0], frames=4) | {"levels": laplace})
    assert run.status == "success", run.error
    assert run.progress[-1] == (6 + 4, 6 + 4)
    assert run.outputs["sampler"]["text"][0].count("These steps end in weak noise") == 1


def test_noise_and_sigmas_of_other_nodes_are_used(server: Server) -> None:
    noise = node(
        "MIVADCTInitNoise",
        model=["base", 0],
        image=["picture", 0],
        noise_seed=5,
        dct=True,
        strength=0.0787,
        cutoff=0.23,
        shape="rect",
        low_band="own",
        shared_noise=0.05,
        fit="crop",
    )
    plain = frames(server, server.run(animate()).outputs)
    ran = server.run(animate(noise=["noise", 0]) | {"noise": noise})
    assert (frames(server, ran.outputs) != plain).any()
    core = server.run(animate(noise=["noise", 0]) | {"noise": node("RandomNoise", noise_seed=5)})
    assert core.status == "success", core.error
    sigmas = node("ManualSigmas", sigmas="3.0, 2.0, 1.0, 0.5, 0.0")
    short = server.run(animate(sigmas=["sigmas", 0]) | {"sigmas": sigmas})
    assert short.status == "success", short.error
    assert short.progress[-1] == (4 + 16, 4 + 16)


def test_a_motion_is_trained_saved_and_found_again(server: Server) -> None:
    run = server.run(train(6))
    assert run.status == "success", run.error
    assert run.progress[-1] == (106, 106)  # a hundred clips are encoded before six steps
    assert run.previews == 6
    assert "film: pan-up" in run.outputs["info"]["text"][0]
    assert run.outputs["save"]["text"] == ["Saved as mine/my_pan.safetensors"]
    menu = server.get("/object_info/MIVALoad")["MIVALoad"]["input"]["required"]["miva_name"][1]["options"]
    assert "mine/my_pan.safetensors" in menu
    used = server.run(animate() | {"miva": motion("mine/my_pan")})
    assert used.status == "success", used.error


def test_a_stopped_training_keeps_what_it_has_learnt_and_goes_on(server: Server) -> None:
    stopped = server.run(train(40, seed=1), interrupt_at=105)  # a hundred clips are encoded before the first step
    assert stopped.status == "interrupted"
    done = server.run(train(40, seed=1))
    assert done.status == "success", done.error
    first = next(value for value, most in done.progress if most == 140 and value > 100)
    assert first > 103
    assert done.outputs["train"]["text"][0].startswith("Learnt in 40 of the 75 steps of `quick`")


def test_a_training_that_was_deleted_is_done_again(server: Server) -> None:
    prompt = train(4, seed=2)
    first = server.run(prompt)
    assert first.status == "success", first.error
    again = server.run(prompt)
    assert "train" in again.cached and "info" in again.executed
    shutil.rmtree(server.base / "output" / "miva_training")
    anew = server.run(prompt)
    assert anew.status == "success", anew.error
    assert "train" in anew.executed and anew.progress[-1] == (104, 104)


def test_clips_come_from_folders_and_from_other_nodes(server: Server) -> None:
    connected = {
        "base": node("MIVALoadBase", base=prompts.TINY),
        "stills": node("LoadImageDataSetFromFolder", folder="miva_stills"),
        "film": node(
            "MIVACameraClips",
            model=["base", 0],
            stills="connected",
            stills__images=["stills", 0],
            motion="zoom-in",
            speed=1.0,
            easing="linear",
            seed=0,
        ),
        "clips": node("MIVADataset", model=["base", 0], clips="connected", clips__videos=["film", 1], clips__fps=0.0),
        "shown": node("PreviewImage", images=["clips", 1]),
    }
    run = server.run(connected)
    assert run.status == "success", run.error
    assert run.outputs["film"]["text"] == ["100 clips."]
    assert frames(server, run.outputs).shape == (16, 64, 64, 3)


MISTAKES = {
    "no mask": (
        animate() | {"miva": motion("jump_masked")},
        "jump_masked is a masked motion without its mask: put Bind Mask to MIVA behind its Load MIVA, and connect a "
        "mask of its subject.",
    ),
    "a picture without transparency": (
        masked(node("LoadImage", image="miva_lemurs.jpg"), slot=1),
        "The mask for jump_masked is empty (64×64, what Load Image gives for a picture without a mask): right-click "
        "the picture, open the mask editor and paint over the subject, or connect Subject Mask.",
    ),
    "no such subject": (
        masked(words("lemur")),
        "The detector knows no word of 'lemur': use a plain English noun. The built-in demo knows only drawn shapes, "
        "such as red circle: for all else choose a Grounding DINO model as `detector`.",
    ),
    "a span of nothing": (
        animate() | {"miva": motion("pan_left", start_percent=0.5, end_percent=0.5)},
        "pan_left would act from 0.5 to 0.5 of the steps, which is none of them: set end_percent above start_percent.",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_first_line_of_an_error_says_what_to_do(server: Server, mistake: str) -> None:
    prompt, message = MISTAKES[mistake]
    run = server.run(prompt)
    assert run.status == "error"
    assert run.message == message


def test_a_file_that_is_gone_is_told(server: Server) -> None:
    run = server.run(animate(seed=41) | {"miva": motion("gone")})
    assert run.status == "refused"
    assert "gone.safetensors" in json.dumps(run.error)


def test_help_is_served_for_every_node_in_two_languages(server: Server) -> None:
    for name in sorted(NODES):
        for page in (f"{name}.md", f"{name}/zh.md"):
            text = server.read(f"/extensions/{PACK}/docs/{page}").decode()
            assert f"(pictures/{name}.png)" in text
        assert server.read(f"/extensions/{PACK}/docs/pictures/{name}.png").startswith(b"\x89PNG")
    chinese = server.get("/i18n")["zh"]["nodeDefs"]
    assert chinese.keys() >= NODES


def without_menus_of_files(info: Any) -> Any:
    """Of what is told of nodes: other tests put files into folders, and ComfyUI itself makes some."""
    if isinstance(info, dict):
        return {
            name: [part[0], {**part[1], "options": None, "default": None}]
            if name in ("folder", "miva_name")
            else without_menus_of_files(part)
            for name, part in info.items()
            if name != "python_module"
        }
    return [without_menus_of_files(part) for part in info] if isinstance(info, list) else info


def test_nodes_are_told_of_as_the_stub_tells(server: Server) -> None:
    kept = json.loads((ROOT / "tests" / "golden" / "object_info.json").read_text("utf-8"))
    info = server.get("/object_info")
    # The order counts, too.
    assert json.dumps(without_menus_of_files({name: info[name] for name in kept})) == json.dumps(
        without_menus_of_files(kept)
    )
