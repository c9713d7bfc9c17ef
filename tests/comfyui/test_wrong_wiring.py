"""What artists wire or type wrongly where pictures move by words, formulas and depth: one sentence, or a clip."""

from typing import Any

import pytest

from .prompts import motion, node, sampler
from .server import Prompt, Server

MIRAMO = "MiraMo tiny (built in)"
PICTURE = "miva_machu_picchu.jpg"
FILM = {"width": 160, "height": 0, "fps": 8.0, "duration": 0.5, "easing": "linear", "loop": False, "edges": "mirror"}


def say(text: str, weight: float = 0.5, **more: Any) -> dict[str, Any]:
    return node("MIVASay", text=text, weight=weight, **{"degree": -1.0} | more)


def square(width: int = 64, height: int = 64, value: float = 1.0, x: int = 16) -> Prompt:
    """A mask of black, with a square of some brightness."""
    return {
        "ground": node("SolidMask", value=0.0, width=width, height=height),
        "square": node("SolidMask", value=value, width=24, height=24),
        "mask": node("MaskComposite", destination=["ground", 0], source=["square", 0], x=x, y=16, operation="add"),
    }


def sky(value: float = 1.0, **size: int) -> Prompt:
    """Words for a part of the picture, bound to a square mask."""
    bound = node("MIVABindMask", mivas=["said", 0], mask=["mask", 0], grow=0, feather=0)
    return square(value=value, **size) | {"said": say("drift left"), "miva": bound}


def by_words(base: str = MIRAMO, picture: dict[str, Any] | None = None, **changed: Any) -> Prompt:
    return {
        "base": node("MIVALoadBase", base=base),
        "miva": say("dolly in"),
        "picture": picture or node("LoadImage", image=PICTURE),
        "sampler": sampler(**{"duration": 0.5, "edges": "mirror"} | changed),
        "shown": node("PreviewImage", images=["sampler", 0]),
    }


def film(
    motion: str, picture: dict[str, Any] | None = None, mask: Any = None, speed: float = 0.5, **more: Any
) -> Prompt:
    moving = {"motion": motion, "speed": speed} | ({} if mask is None else {"mask": mask})
    filmed = {"image": ["picture", 0], "motions": ["motion", 0], "seed": 0}
    return {
        "picture": picture or node("LoadImage", image=PICTURE),
        "motion": node("MIVAFilmMotion", **moving),
        "film": node("MIVAFilm", **filmed | FILM | more),
        "shown": node("PreviewImage", images=["film", 0]),
    }


def plain(width: int, height: int, count: int = 1) -> dict[str, Any]:
    return node("EmptyImage", width=width, height=height, batch_size=count, color=8421504)


MISTAKES: dict[str, tuple[Prompt, str]] = {
    "a typo": (by_words() | {"miva": say("dolly inn")}, "the nearest that it knows are dolly in, dolly out"),
    "nothing said": (by_words() | {"miva": say(" ")}, "`text` is empty: write what the base knows"),
    "two cameras": (
        by_words() | {"one": say("pan left"), "miva": say("zoom in", prev=["one", 0])},
        "pan left and zoom in are both about the camera",
    ),
    "words for a base that hears none": (
        by_words("tiny (built in)"),
        f"does not move by words such as 'dolly in': choose {MIRAMO} in Load MIVA Base",
    ),
    "a file of the other base": (by_words() | {"miva": motion("pan_left")}, "pan_left was trained on another base"),
    "a photograph as depth": (by_words(depth=["picture", 0]), "The depth map is a picture in colours"),
    "a flat depth map": (
        by_words(picture=plain(64, 64), depth=["flat", 0]) | {"flat": plain(64, 64)},
        "The depth map is flat",
    ),
    "an empty mask": (by_words() | sky(value=0.0), "The mask for drift left is empty"),
    "a mask of everything": (
        by_words() | sky() | {"mask": node("SolidMask", value=1.0, width=64, height=64)},
        "The mask of drift left marks the whole picture",
    ),
    "a tiny picture": (by_words(picture=plain(8, 8)), "The picture is 8×8: each side must have at least 16 pixels"),
    "a strip": (by_words(picture=plain(9000, 16), width=0), "is too narrow for a clip of its own aspect"),
    "a film of a part without its mask": (film("sway"), "sway moves a part of the picture and needs a mask of it"),
    "a mask for a camera": (film("pan-left", mask=["mask", 0]) | square(), "pan-left moves the whole picture"),
    "several pictures to film": (film("pan-left", picture=plain(64, 64, 2)), "The picture is a batch of 2"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_told_in_a_sentence(server: Server, what: str) -> None:
    prompt, said = MISTAKES[what]
    run = server.run(prompt)
    assert run.status == "error" and said in run.message, run.error or run.outputs
    assert "Traceback" not in run.error["exception_message"]


CLIPS: dict[str, tuple[Prompt, str]] = {
    "the other way round": (by_words() | {"miva": say("dolly in", -1.0)}, "dolly in goes the other way round, at -1."),
    "no speed": (by_words() | {"miva": say("pan left", 0.0)}, "pan left has the speed 0 and does nothing."),
    "a mask of another size": (by_words() | sky(width=128, height=96), "The mask of drift left was"),
    "a film that stands still": (film("pan-left", speed=0.0), "pan-left has the speed 0 and does nothing."),
    "several pictures": (by_words(picture=plain(64, 64, 2)), "2 pictures × 4 frames = 8 frames"),
}


@pytest.mark.parametrize("what", CLIPS)
def test_what_is_odd_is_a_clip_with_a_note(server: Server, what: str) -> None:
    prompt, said = CLIPS[what]
    run = server.run(prompt)
    assert run.status == "success", run.error
    (text,) = next(shown["text"] for shown in run.outputs.values() if "text" in shown)
    assert said in text


def test_numbers_out_of_range_do_not_run(server: Server) -> None:
    for prompt in (
        by_words(duration=100.0),
        by_words() | {"miva": say("pan left", 9.0)},
        film("pan-left", duration=0.0),
    ):
        assert server.run(prompt).status == "refused"


def test_a_motion_is_taught_with_a_guide_and_asks_for_it(server: Server) -> None:
    clips = node(
        "MIVACameraClips",
        model=["base", 0],
        stills="connected",
        stills__images=["picture", 0],
        motion="drift-left",
        speed=0.5,
        easing="linear",
        seed=0,
        masks=["mask", 0],
    )
    settings = {"name": "whirl", "preset": "quick", "steps": 1, "seed": 0, "masked": False, "subject": ""}
    settings |= {"learning_rate": 0.0, "flip": "no", "guide": "mask"}
    taught = (
        by_words(width=64)
        | square(128, 96)
        | {
            "picture": plain(128, 96),
            "clips": clips,
            "miva": node("MIVATrain", model=["base", 0], dataset=["clips", 0], **settings),
        }
    )
    run = server.run(taught)
    assert run.status == "error" and run.message.startswith("whirl is a masked motion without its mask"), run.error
    bound = node("MIVABindMask", mivas=["miva", 0], mask=["mask", 0], grow=0, feather=0)
    assert server.run(taught | {"bound": bound, "sampler": sampler(mivas=["bound", 0])}).status == "success"
    mistaken = server.run(taught | {"base": node("MIVALoadBase", base="tiny (built in)")})
    assert mistaken.message.startswith("The tiny base takes no guide: switch `guide` off")
