"""The stub refuses what it does not know: only so do tests against it mean that a node runs in ComfyUI."""

from typing import Any

import pytest
from comfy_api import v0_0_2
from comfy_api.v0_0_2 import io, ui


def test_a_name_that_the_pack_does_not_use_yet_is_refused() -> None:
    with pytest.raises(AttributeError, match=r"io\.Audio"):
        _ = io.Audio
    with pytest.raises(AttributeError, match=r"ui\.PreviewVideo"):
        _ = ui.PreviewVideo
    with pytest.raises(AttributeError, match="ComfyAPI"):
        _ = v0_0_2.ComfyAPI
    with pytest.raises(AttributeError, match="Output"):
        _ = io.Vae.Output


def test_an_argument_that_the_pack_does_not_use_yet_is_refused() -> None:
    with pytest.raises(TypeError, match="display_mode"):
        io.Int.Input("steps", default=1, min=0, max=2, display_mode="slider")
    with pytest.raises(TypeError, match="lazy"):
        io.Image.Input("image", lazy=True)
    with pytest.raises(TypeError, match="is_experimental"):
        io.Schema(node_id="A", display_name="A", category="A", description="A.", is_experimental=True)


def test_a_default_that_cannot_be_chosen_is_refused() -> None:
    with pytest.raises(ValueError, match="steps is 3 by default"):
        io.Int.Input("steps", default=3, min=0, max=2)
    with pytest.raises(ValueError, match="none of crop, pad"):
        io.Combo.Input("fit", options=["crop", "pad"], default="stretch")


def test_ids_that_repeat_are_refused() -> None:
    twice = [io.Image.Input("image"), io.Mask.Input("image")]
    texts: dict[str, Any] = {"node_id": "A", "display_name": "A", "category": "A", "description": "A."}
    with pytest.raises(ValueError, match="missing or repeat: image"):
        io.Schema(inputs=twice, **texts)
    with pytest.raises(ValueError, match="Inputs under words need ids"):
        io.DynamicCombo.Option("words", twice)
    with pytest.raises(ValueError, match="Outputs need ids"):
        io.Schema(outputs=[io.Mask.Output("mask"), io.Mask.Output("mask")], **texts)


def test_a_method_that_comfyui_never_calls_is_refused() -> None:
    methods = {name: classmethod(lambda cls: None) for name in ("define_schema", "execute", "fingerprint_input")}
    with pytest.raises(TypeError, match="never asks for: fingerprint_input"):
        type("Misspelt", (io.ComfyNode,), methods)
    with pytest.raises(TypeError, match="lacks execute"):
        type("Empty", (io.ComfyNode,), {"define_schema": classmethod(lambda cls: None)})


def test_all_of_it_is_listed_for_the_comparison_with_the_real_one() -> None:
    listed = v0_0_2.surface()
    assert {
        "ComfyExtension",
        "io.Schema",
        "io.Int.Input",
        "io.Autogrow.TemplatePrefix",
        "ui.PreviewText",
    } <= listed.keys()
    assert listed["io.DynamicCombo.Option"] is io.DynamicCombo.Option
    assert "io.Vae.Output" not in listed
