"""The workflows on ComfyUI's own MODELs in the real frontend, as they are shipped but for their size."""

from collections.abc import Iterator

import pytest

from .browser import Page, chromium, open_page
from .native_workflows import BYPASSED, LONGER, MUTED, ON, SD15, TWO, WAN, load, put_pictures
from .server import Server

STEMS = {WAN: "wan_native", SD15: "sd15_native", LONGER: "longer_clip", TWO: "two_checkpoints"}


@pytest.fixture(scope="module")
def page(server_with_models: Server) -> Iterator[Page]:
    put_pictures(server_with_models)
    with chromium() as browser:
        yield open_page(browser, server_with_models, "litegraph")


@pytest.mark.parametrize("name", STEMS)
def test_it_opens_and_makes_its_files(server_with_models: Server, page: Page, name: str) -> None:
    load(page, name)
    assert page.missing() == []
    assert page.notices() == ""
    # Or what other tests have run would be taken from the cache, and nothing would be written.
    page.set("KSampler", "seed", 100)
    made = server_with_models.base / "output" / "MIVA"
    before = set(made.glob("*"))
    status, error = page.queue()
    page.shoot(f"{name}_done")
    layout = page.layout()
    assert (status, error) == ("success", None)
    # Nodes have grown by what they show.
    assert layout.overlapping == layout.crossed == []
    files = sorted(set(made.glob("*")) - before, key=lambda file: file.suffix)
    assert [file.suffix for file in files] == [".mp4", ".webp"]
    assert all(file.name.startswith(STEMS[name]) and file.stat().st_size > 1000 for file in files)


@pytest.mark.parametrize("name", [WAN, SD15])
@pytest.mark.parametrize("mode", [MUTED, BYPASSED], ids=["muted", "bypassed"])
def test_without_apply_miva_it_is_said_what_is_missing(page: Page, name: str, mode: int) -> None:
    load(page, name)
    page.set_mode("MIVAApply", mode)
    status, error = page.queue()
    assert status == "refused" and error is not None
    assert "required_input_missing" in error and "latent_image" in error
    page.set_mode("MIVAApply", ON)
    assert page.queue() == ("success", None)


@pytest.mark.parametrize("mode", [MUTED, BYPASSED], ids=["muted", "bypassed"])
def test_without_a_motion_it_is_said_what_to_connect(page: Page, mode: int) -> None:
    load(page, WAN)
    page.set_mode("MIVALoad", mode)
    status, error = page.queue()
    assert status == "error" and str(error).startswith("No motion is connected: connect Load MIVA to `mivas`")
