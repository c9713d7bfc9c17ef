"""Errors that no artist could make sense of are told in a sentence."""

import html
import logging
import sys
import warnings
from typing import Any

import pytest
import torch
from comfy_api.v0_0_2 import io
from comfyui_miva.miva_core.errors import MIVAError, MIVAWarning
from comfyui_miva.nodes import MIVASampler, MIVASubjectMask, MIVATrain
from comfyui_miva.nodes.messages import collect_warnings, friendly_errors, node_text
from comfyui_miva.nodes.sockets import Dataset
from fake_comfyui import FakeComfyUI
from node_runs import motion, run_unchecked


class _Node:
    """Whose `execute` raises what it is given."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="Raises", display_name="Raises", category="", description="")

    @classmethod
    @friendly_errors
    def execute(cls, error: BaseException) -> None:
        """Raises."""
        raise error


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("cv2", "opencv-python>=4.8"),
        ("transformers.models.sam2", "transformers>=4.57.6"),
        ("diffusers", "diffusers>=0.36,<0.50"),
        ("torchvision.ops", "torchvision"),
    ],
)
def test_a_package_that_is_missing_is_told_with_what_to_type(module: str, package: str) -> None:
    name = module.partition(".")[0]
    with pytest.raises(MIVAError) as said:
        _Node.execute(error=ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert str(said.value) == (
        f'This needs the package {name}, which is not installed: run `python -m pip install "{package}"` with the '
        "Python of ComfyUI, then start it again."
    )


def test_a_module_that_no_package_of_ours_has_is_not_explained_away() -> None:
    error = ModuleNotFoundError("No module named 'elsewhere'", name="elsewhere")
    with pytest.raises(ModuleNotFoundError) as said:
        _Node.execute(error=error)
    assert said.value is error


def test_a_torchvision_that_does_not_fit_torch_is_told(shapes: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.extension._has_ops", lambda: False)
    demo = "drawn shapes (built-in demo)"
    words = {"method": "words", "prompt": "green circle", "detector": demo, "segmenter": demo}
    with pytest.raises(MIVAError, match=r"torchvision does not fit torch \d"):
        run_unchecked(MIVASubjectMask, image=shapes, method=words)


def test_a_package_that_cannot_be_loaded_for_another_one_is_told() -> None:
    """As transformers raises it, without a name."""
    error = ModuleNotFoundError("Could not import module 'UMT5EncoderModel'.")
    error.__cause__ = RuntimeError("operator torchvision::nms does not exist")
    with pytest.raises(MIVAError, match=r"torchvision does not fit torch") as said:
        _Node.execute(error=error)
    assert said.value.__cause__ is error


def test_training_asks_for_its_packages_before_it_begins(
    model: Any, comfyui: FakeComfyUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)  # which makes Python not find it
    with pytest.raises(MIVAError, match=r"package accelerate, .*\"accelerate>=1\.1\""):
        run_unchecked(MIVATrain, model=model, dataset=Dataset((), "tiny", "", False, {}))
    assert not any(comfyui.output.iterdir())


def test_a_full_card_is_told_by_the_same_exception(
    model: Any, shapes: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ComfyUI knows by its type that it should unload its models."""

    def full(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError("Tried to allocate 20 GiB")

    monkeypatch.setattr(model.base.codec, "encode", full)
    with pytest.raises(torch.cuda.OutOfMemoryError) as said:
        run_unchecked(MIVASampler, model=model, mivas=motion(), image=shapes, steps=1, frames=2)
    assert str(said.value) == (
        "The graphics card has run out of memory: close other programs that use it, or choose fewer frames, a smaller "
        "picture or a smaller base. (Tried to allocate 20 GiB)"
    )


def test_a_node_keeps_its_name_and_all_other_errors() -> None:
    assert _Node.execute.__func__.__doc__ == "Raises."
    for error in (MIVAError("as it is"), KeyError("a"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as said:
            _Node.execute(error=error)
        assert said.value is error


def test_notes_are_what_the_engine_warns_of_and_nothing_else() -> None:
    with pytest.warns(DeprecationWarning, match="of somebody else") as others, collect_warnings() as texts:
        warnings.warn("the mask was scaled", MIVAWarning, stacklevel=1)
        warnings.warn("of somebody else", DeprecationWarning, stacklevel=1)
        warnings.warn("the mask was scaled", MIVAWarning, stacklevel=1)
    assert texts == ["the mask was scaled", "the mask was scaled"]
    assert len(others) == 1


def test_no_code_of_a_terminal_reaches_the_console(caplog: pytest.LogCaptureFixture) -> None:
    """ComfyUI writes there what is logged, and the errors of nodes."""
    with caplog.at_level(logging.INFO), collect_warnings() as texts:
        warnings.warn("\x1b[31mred.png was scaled", MIVAWarning, stacklevel=1)
    assert texts == ["\x1b[31mred.png was scaled"]
    assert [record.getMessage() for record in caplog.records] == [r"MIVA: \x1b[31mred.png was scaled"]
    error = MIVAError("\x1b[31mred.png is\na folder")
    with pytest.raises(MIVAError) as said:
        _Node.execute(error=error)
    assert said.value is error and str(error) == "\\x1b[31mred.png is\na folder"


def test_what_a_node_tells_is_written_onto_it(comfyui: FakeComfyUI) -> None:
    """The frontend shows the text of a node's `ui` on few kinds of nodes alone."""
    assert node_text("odd weights").as_dict() == {"text": ("odd weights",)}
    assert comfyui.written == [("7", "odd weights")]


def test_names_that_cannot_be_printed_are_written_in_ascii(comfyui: FakeComfyUI) -> None:
    """A name that is no UTF-8 could not be sent, and one that is turned round would read as another."""
    node_text("a\udcff b\u202ec\n\x1b[2J")
    assert [html.unescape(text) for _, text in comfyui.written] == [r"a\udcff b\u202ec" + "  \n" + r"\x1b[2J"]
