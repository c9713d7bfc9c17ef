"""The workflow that trains on Stable Diffusion 1.5, as it is shipped, from two files to a clip; of a small model."""

import json

from .browser import chromium, open_page
from .server import ROOT, Server

NAME = "6_train_a_zoom_on_sd15"


def test_two_files_are_all_that_it_needs(server_with_models: Server) -> None:
    base = server_with_models.base
    (base / "models" / "miva" / "sd15_zoom_in.safetensors").unlink(missing_ok=True)
    with chromium() as browser:
        page = open_page(browser, server_with_models, "litegraph")
        page.load(json.loads((ROOT / "workflows" / f"{NAME}.json").read_text("utf-8")), NAME)
        assert page.missing() == []
        assert page.notices() == ""
        # As shipped it learns for hours on a processor.
        page.set("MIVATrain", "steps", 1)
        page.set("MIVAApply", "width", 96)
        page.set("MIVAApply", "height", 64)
        page.set("KSampler", "steps", 2)
        status, error = page.queue(600)
        page.shoot(f"{NAME}_done")
        layout = page.layout()
    assert (status, error) == ("success", None)
    assert layout.overlapping == layout.crossed == []
    (learnt,) = (base / "models" / "miva").glob("sd15_zoom_in*.safetensors")
    assert learnt.stat().st_size > 1000
    (video,) = (base / "output" / "MIVA").glob("sd15_zoom_in*.mp4")
    assert video.stat().st_size > 1000
