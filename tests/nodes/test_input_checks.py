"""What ComfyUI hands over unchecked: plain values in the place of connections, and options that do not exist."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from artist import GivenNoise
from comfy_api.v0_0_2 import io
from comfyui_miva.miva_core.attention.strength import Strength
from comfyui_miva.miva_core.errors import MIVAError
from comfyui_miva.nodes import NODES, MIVABindMask, MIVADataset, MIVAInfo, MIVALoad, MIVALoadBase, MIVAStack, MIVATrain
from comfyui_miva.nodes.sockets import Dataset
from node_runs import motion, run, run_unchecked, shown

WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
WITH_MENUS = ["MIVALoadBase", "MIVAStrength", "MIVASubjectMask", "MIVACameraClips", "MIVADataset"]
PLAIN = [5, 0.5, "motion.safetensors", True, {"a": 1}]
CONNECTED = {
    "MIVA_STACK": (),
    "MIVA_FILM": (),
    "MIVA_STRENGTH": Strength(),
    "FLOATS": [0.0, 1.0],
    "CURVE": {"points": [[0.0, 0.0], [1.0, 1.0]], "interpolation": "linear"},
    "MIVA_DATASET": Dataset((), "tiny", "", False, {}),
    "IMAGE": torch.zeros(1, 8, 8, 3),
    "MASK": torch.ones(1, 8, 8),
    "SIGMAS": torch.tensor([1.0, 0.0]),
    "NOISE": GivenNoise(1),
    "VAE": object(),
    "MODEL": object(),
    "LATENT": {"samples": torch.zeros(1, 4, 8, 8)},
    "CONDITIONING": [[torch.zeros(1, 77, 768), {}]],
}

each_node = pytest.mark.parametrize("node", NODES, ids=lambda node: node.__name__)


def sockets(node: type[io.ComfyNode]) -> Iterator[tuple[dict[str, str], tuple[str, ...], io.Input]]:
    """All that can be connected: the options that must be chosen for it, its ids from the outermost on, and itself."""

    def below(inputs: Sequence[io.Input], chosen: dict[str, str], path: tuple[str, ...]) -> Iterator[Any]:
        for one in inputs:
            if isinstance(one, io.DynamicCombo.Input):
                for option in one.options:
                    yield from below(option.inputs, chosen | {one.id: option.key}, (*path, one.id))
            elif isinstance(one, io.Autogrow.Input):
                yield chosen, (*path, one.id, one.template.names[0]), one.template.input
            elif one.get_io_type() not in WIDGETS:
                yield chosen, (*path, one.id), one

    return below(node.define_schema().inputs, {}, ())


def menus(node: type[io.ComfyNode]) -> list[io.Input]:
    return [one for one in node.define_schema().inputs if isinstance(one, io.DynamicCombo.Input)]


def filled(inputs: Sequence[io.Input], chosen: dict[str, str], model: Any) -> dict[str, Any]:
    """Something for every socket; of menus the chosen options, else the first."""
    values: dict[str, Any] = {}
    for one in inputs:
        kind = one.get_io_type()
        if isinstance(one, io.DynamicCombo.Input):
            key = chosen.get(one.id, one.options[0].key)
            option = next(option for option in one.options if option.key == key)
            values[one.id] = {one.id: key} | filled(option.inputs, chosen, model)
        elif isinstance(one, io.Autogrow.Input):
            values[one.id] = {}
        elif kind not in WIDGETS:
            values[one.id] = (CONNECTED | {"MIVA_MODEL": model})[kind.partition(",")[0]]
    return values


def put(values: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        values = values[name]
    values[path[-1]] = value


def test_the_nodes_have_sockets_of_every_type_and_menus() -> None:
    types = {kind for node in NODES for *_, one in sockets(node) for kind in one.get_io_type().split(",")}
    assert types == {*CONNECTED, "MIVA_MODEL", "VIDEO", "FLOAT"}
    assert [node.__name__ for node in NODES if menus(node)] == WITH_MENUS


@each_node
def test_a_plain_value_on_a_socket_is_told(node: type[io.ComfyNode], model: Any) -> None:
    for chosen, path, one in sockets(node):
        for wrong in PLAIN:
            if "FLOATS" in one.get_io_type() and isinstance(wrong, float | int) and not isinstance(wrong, bool):
                continue  # a list of one
            values = filled(node.define_schema().inputs, chosen, model)
            put(values, path, wrong)
            with pytest.raises(MIVAError) as raised:
                run_unchecked(node, **values)
            what = "a dict" if isinstance(wrong, dict) else repr(wrong)
            types = one.get_io_type().replace(",", " or ")
            beginning = f"`{path[-1]}` was given {what}, and takes {types} alone: connect "
            assert str(raised.value).startswith(beginning), (path, wrong)


@pytest.mark.parametrize("chosen", [None, "hunyuan"])
@pytest.mark.parametrize("name", WITH_MENUS)
def test_an_option_of_a_newer_pack_is_told(name: str, chosen: str | None, model: Any) -> None:
    """ComfyUI hands over nothing where it does not know what is chosen."""
    node = next(node for node in NODES if node.__name__ == name)
    menu = menus(node)[0]
    values = filled(node.define_schema().inputs, {}, model)
    del values[menu.id]
    if "fingerprint_inputs" in vars(node):
        node.fingerprint_inputs(**values)
    if chosen:
        values[menu.id] = {menu.id: [chosen] if node.define_schema().is_input_list else chosen}
    with pytest.raises(MIVAError) as raised:
        node.execute(**values)
    names = ", ".join(option.key for option in menu.options)
    assert str(raised.value) == (
        f"What is chosen for `{menu.id}` is not known to this ComfyUI-MIVA, as when a newer one has made the workflow: "
        f"update ComfyUI-MIVA, or choose one of these: {names}."
    )


def test_what_a_node_of_another_pack_gives_is_told_by_its_type() -> None:
    with pytest.raises(MIVAError, match=r"^`mivas` was given a Tensor"):
        run_unchecked(MIVAInfo, mivas=torch.zeros(1))
    with pytest.raises(MIVAError, match=r"^`mivas` was given a tuple"):
        run_unchecked(MIVAInfo, mivas=(1, 2))


@pytest.mark.parametrize("wrong", [[()], []])
def test_a_list_is_no_value_of_a_node_that_takes_none(wrong: list[Any]) -> None:
    """Some packs hand a list over as one value."""
    with pytest.raises(MIVAError, match=r"^`mivas` was given a list"):
        run_unchecked(MIVAInfo, mivas=wrong)
    with pytest.raises(MIVAError, match=r"^`miva0` was given a list"):
        run_unchecked(MIVAStack, mivas={"miva0": wrong})


def test_of_lists_the_values_are_checked(model: Any) -> None:
    frames = torch.rand(model.base.frames, 64, 64, 3)
    free = {"clips": "connected", "videos": [frames], "fps": [0.0], "masks": [None]}
    assert not run_unchecked(MIVADataset, model=model, clips=free)[0].masked
    with pytest.raises(MIVAError, match=r"^2 clips .* masks of 1:"):
        run_unchecked(
            MIVADataset,
            model=model,
            clips=free | {"videos": [frames, frames], "masks": [torch.ones(model.base.frames, 64, 64), None]},
        )
    with pytest.raises(MIVAError, match=r"^`videos` was given a list"):
        run_unchecked(MIVADataset, model=model, clips=free | {"videos": [[frames]]})
    for nothing in ([], [None]):
        with pytest.raises(MIVAError, match=r"^Nothing is connected to `videos`"):
            run_unchecked(MIVADataset, model=model, clips=free | {"videos": nothing})


def test_a_long_text_is_cut() -> None:
    with pytest.raises(MIVAError) as raised:
        run_unchecked(MIVAInfo, mivas="x" * 100_000)
    assert len(str(raised.value)) < 200


def test_a_number_too_long_to_be_written_is_told() -> None:
    with pytest.raises(MIVAError, match=r"^`mivas` was given a huge"):
        run_unchecked(MIVAInfo, mivas=10**5000)


def test_nothing_on_a_socket_is_as_if_it_were_free() -> None:
    assert run(MIVALoad, miva_name="jump.safetensors", prev=None)[0] == motion("jump")
    assert shown(run_unchecked(MIVAInfo, mivas=None)) == "No motion is connected."
    assert run(MIVAStack, mivas={"miva0": None, "miva1": motion("jump")})[0] == motion("jump")


def test_nothing_on_a_socket_that_is_needed_is_told() -> None:
    with pytest.raises(MIVAError, match=r"^Nothing is connected to `model`"):
        run_unchecked(MIVATrain, model=None, dataset=CONNECTED["MIVA_DATASET"])


def test_without_motions_a_stack_is_empty() -> None:
    """As ComfyUI hands over the nodes before it when all of them are muted."""
    assert run(MIVAStack, mivas={})[0] == ()
    assert run(MIVABindMask, mask=CONNECTED["MASK"])[0] == ()
    assert run(MIVABindMask, mivas=(), mask=CONNECTED["MASK"])[0] == ()


def test_of_files_in_menus_the_base_itself_tells() -> None:
    with pytest.raises(MIVAError, match=r"^There is no Wan model"):
        run_unchecked(
            MIVALoadBase, base={"base": "Wan 2.1 1.3B", "diffusion_model": "no file in models/diffusion_models"}
        )
