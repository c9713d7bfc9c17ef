"""Prompts that no frontend of today would send as they are, and names that ComfyUI's own nodes would fill in."""

import re
import time

from .prompts import animate, motion, node
from .server import Server


def test_an_option_of_a_newer_pack_is_told(server: Server) -> None:
    run = server.run(animate(seed=51) | {"base": node("MIVALoadBase", base="hunyuan", base__model="x")})
    assert run.status == "error"
    assert run.message.startswith("What is chosen for `base` is not known to this ComfyUI-MIVA")


def test_plain_values_on_sockets_are_told(server: Server) -> None:
    for value in (5, "jump", {"a": 1}):
        run = server.run(animate(seed=52, mivas=value))
        assert run.status == "error"
        assert re.match("`mivas` was given .*, and takes MIVA_STACK alone: connect Load MIVA", run.message)
    run = server.run(
        animate(seed=52) | {"stack": node("MIVAStack", mivas__miva0=5), "i": node("MIVAInfo", mivas=["stack", 0])}
    )
    assert run.message.startswith("`miva0` was given 5")


def test_any_motion_of_a_stack_may_be_missing(server: Server) -> None:
    """What the frontend sends when the nodes before it are muted."""
    for inputs in ({"mivas__miva1": ["miva", 0]}, {}):
        stack = {"miva": motion("pan_left"), "stack": node("MIVAStack", **inputs)}
        run = server.run(animate(seed=53, mivas=["stack", 0]) | stack)
        assert run.status == "success", run.error
    alone = node("MIVABindMask", mask=["mask", 0], grow=0, feather=0)
    mask = node("SolidMask", value=1.0, width=64, height=64)
    run = server.run({"mask": mask, "bound": alone, "info": node("MIVAInfo", mivas=["bound", 0])})
    assert run.outputs["info"]["text"] == ["No motion is connected."]


def test_names_are_filled_in_as_by_save_image(server: Server) -> None:
    prefix = "%year%-%month%-%day% at %width%x%height%"
    prompt = {
        "miva": motion("pan_left"),
        "save": node("MIVASave", mivas=["miva", 0], filename_prefix=prefix, author="", licence=""),
        "picture": node("EmptyImage", width=64, height=64, batch_size=1, color=0),
        "image": node("SaveImage", images=["picture", 0], filename_prefix=prefix),
    }
    run = server.run(prompt)
    assert run.status == "success", run.error
    (image,) = run.outputs["image"]["images"]
    assert run.outputs["save"]["text"] == [f"Saved as {image['filename'].removesuffix('_00001_.png')}.safetensors"]
    assert image["filename"].startswith(str(time.localtime().tm_year))
