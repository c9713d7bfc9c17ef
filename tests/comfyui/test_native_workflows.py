"""The workflows on ComfyUI's own MODELs, as they are shipped but for their size; of small models."""

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from .browser import Page, chromium, open_page
from .server import ROOT, Prompt, Server, node

WAN, SD15, LONGER = "8_wan_native", "9_sd15_native", "10_longer_clip_natively"
MUTED, BYPASSED = 2, 4
SIZE = (64, 96)
LENGTHS = {WAN: 9, SD15: 6, LONGER: 6}
PICTURE = "picture.png"
"""Of the clip's size, so that nothing is scaled."""


def read(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "workflows" / f"{name}.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def page(server_with_models: Server) -> Iterator[Page]:
    picture = Image.open(ROOT / "workflows" / "pictures" / "miva_crab.jpg").convert("RGB").resize(SIZE[::-1])
    picture.save(server_with_models.base / "input" / PICTURE)
    with chromium() as browser:
        yield open_page(browser, server_with_models, "litegraph")


def load(page: Page, name: str) -> None:
    """Open a workflow, at a size and length for a processor."""
    page.load(read(name), name)
    page.set("LoadImage", "image", PICTURE)
    for widget, value in {"height": SIZE[0], "width": SIZE[1], "length": LENGTHS[name]}.items():
        page.set("MIVAApply", widget, value)
    page.set("KSampler", "steps", 4)


def prompt_of(page: Page, name: str) -> Prompt:
    """What the frontend sends of a workflow, with all frames that are decoded shown as well."""
    load(page, name)
    prompt = page.prompt()
    decoded = next(one["inputs"]["images"] for one in prompt.values() if one["class_type"] == "CreateVideo")
    return prompt | {"shown": node("PreviewImage", images=decoded)}


def find(prompt: Prompt, kind: str, number: int = 0) -> str:
    """The id of a node of a prompt."""
    return [name for name, one in prompt.items() if one["class_type"] == kind][number]


def frames(server: Server, outputs: dict[str, Any], shown: str = "shown") -> np.ndarray:
    """(F, H, W, 3) int, of what a preview shows."""
    files = [server.view(one) for one in outputs[shown]["images"]]
    return np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files]).astype(int)


def decoded_picture(prompt: Prompt) -> Prompt:
    """The picture through the same VAE and back."""
    vae = prompt[find(prompt, "VAEDecode")]["inputs"]["vae"]
    return {
        **{name: one for name, one in prompt.items() if name in (vae[0], find(prompt, "LoadImage"))},
        "latent": node("VAEEncode", pixels=[find(prompt, "LoadImage"), 0], vae=vae),
        "picture": node("VAEDecode", samples=["latent", 0], vae=vae),
        "shown": node("PreviewImage", images=["picture", 0]),
    }


@pytest.mark.parametrize("name", [WAN, SD15, LONGER])
def test_it_opens_and_makes_its_files(server_with_models: Server, page: Page, name: str) -> None:
    load(page, name)
    assert page.missing() == []
    assert page.notices() == ""
    assert page.seeds_stay()
    status, error = page.queue()
    page.shoot(f"{name}_done")
    layout = page.layout()
    assert (status, error) == ("success", None)
    assert layout.overlapping == layout.crossed == []
    stem = "longer_clip" if name == LONGER else name.split("_", 1)[1]
    made = server_with_models.base / "output" / "MIVA"
    for ending in ("mp4", "webp"):
        (file,) = made.glob(f"{stem}*.{ending}")
        assert file.stat().st_size > 1000


@pytest.mark.parametrize("name", [WAN, SD15])
def test_the_first_frame_is_the_picture_and_the_motion_is_seen(
    server_with_models: Server, page: Page, name: str
) -> None:
    prompt = prompt_of(page, name)
    clip = frames(server_with_models, server_with_models.run(prompt).outputs)
    (picture,) = frames(server_with_models, server_with_models.run(decoded_picture(prompt)).outputs)
    assert len(clip) == LENGTHS[name]
    # Frames differ from one another by far more than by what pixels are rounded to.
    assert np.abs(clip[0] - picture).max() <= 1 < np.abs(clip[1:] - picture).mean()
    weaker = {**prompt, find(prompt, "MIVALoad"): node("MIVALoad", miva_name=f"{_motion(prompt)}", weight=0.5)}
    other = frames(server_with_models, server_with_models.run(weaker).outputs)
    assert (other[0] == clip[0]).all() and np.abs(other - clip).mean() > 1


def _motion(prompt: Prompt) -> str:
    return prompt[find(prompt, "MIVALoad")]["inputs"]["miva_name"]
