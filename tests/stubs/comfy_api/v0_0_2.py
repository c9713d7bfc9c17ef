"""The part of ComfyUI's node API, `comfy_api.v0_0_2`, that this pack uses, and nothing else of it.

It is strict, so that no node comes to rely on what was never compared with a real ComfyUI: a name or an argument that
is not here is refused. What stands here must be in the real API under the same names; `surface` lists it for that
comparison. Where ComfyUI would put up with a mistake that an artist suffers from, such as a default outside of its own
range, this refuses it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any


def _of(inputs: "Sequence[Input]") -> dict[str, dict[str, tuple[str, dict[str, Any]]]]:
    """Inputs as the frontend is told of them; the required ones first, even if there are none."""
    groups: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {"required": {}}
    for one in inputs:
        groups.setdefault("optional" if one.optional else "required", {})[one.id] = (one.io_type, one.as_dict())
    return groups


def _check_unique(kind: str, ids: Sequence[str | None]) -> None:
    if repeated := sorted({str(one) for one in ids if one is None or ids.count(one) > 1}):
        raise ValueError(f"{kind} need ids of their own, but these are missing or repeat: {', '.join(repeated)}.")


class Input:
    """What a node is given by a wire."""

    io_type = ""

    def __init__(self, id: str, *, optional: bool = False, tooltip: str | None = None) -> None:
        self.id, self.optional = id, optional
        self._info: dict[str, Any] = {"tooltip": tooltip}

    def get_io_type(self) -> str:
        """The types it takes, with commas between them."""
        return self.io_type

    def as_dict(self) -> dict[str, Any]:
        """What the frontend is told of it, besides its id and type."""
        return {key: value for key, value in self._info.items() if value is not None}


class _Output:
    """What a node gives."""

    io_type = ""

    def __init__(self, id: str, *, tooltip: str | None = None) -> None:
        self.id, self.tooltip = id, tooltip


class _Widget(Input):
    """What an artist sets on the node itself."""

    def __init__(
        self, id: str, tooltip: str | None, advanced: bool | None, default: Any, optional: bool = False, **extra: Any
    ) -> None:
        super().__init__(id, optional=optional, tooltip=tooltip)
        self.default = default
        self._info |= {"advanced": advanced, "default": default, **extra}


class _Number(_Widget):
    """A widget whose value lies in a range."""

    def __init__(
        self,
        id: str,
        display_name: str | None,
        tooltip: str | None,
        advanced: bool | None,
        default: Any,
        **extra: Any,
    ) -> None:
        super().__init__(id, tooltip, advanced, default, **extra)
        # ComfyUI tells of it first.
        self._info = {"display_name": display_name} | self._info
        if default is None or not extra["min"] <= default <= extra["max"]:
            raise ValueError(f"{id} is {default} by default, which is not from {extra['min']} to {extra['max']}.")


def _type(io_type: str, *parts: type) -> Any:
    """A type with those of `Input` and `Output` that are asked for."""
    named = {part.__name__.strip("_"): type(part.__name__, (part,), {"io_type": io_type}) for part in parts}
    return type(io_type, (), {"io_type": io_type, **named})


def Custom(io_type: str) -> Any:
    """A type of a pack's own, whose values travel along wires."""
    return _type(io_type, Input, _Output)


_BOTH_WAYS = ("Conditioning", "Image", "Latent", "Mask", "Model", "Noise")
_WIRED = {name: _type(name.upper(), Input, _Output) for name in _BOTH_WAYS}
_WIRED |= {name: _type(name.upper(), Input) for name in ("Sigmas", "Vae")}
_WIRED |= {name: _type(name.upper()) for name in ("Video",)}


class Boolean:
    class Input(_Widget):
        io_type = "BOOLEAN"

        def __init__(
            self,
            id: str,
            *,
            optional: bool = False,
            default: bool | None = None,
            tooltip: str | None = None,
            advanced: bool | None = None,
        ) -> None:
            super().__init__(id, tooltip, advanced, default, optional)


class Int:
    Output = _type("INT", _Output).Output

    class Input(_Number):
        io_type = "INT"

        def __init__(
            self,
            id: str,
            *,
            display_name: str | None = None,
            default: int | None = None,
            min: int | None = None,
            max: int | None = None,
            step: int | None = None,
            control_after_generate: bool | None = None,
            tooltip: str | None = None,
            advanced: bool | None = None,
        ) -> None:
            numbers = {"min": min, "max": max, "step": step, "control_after_generate": control_after_generate}
            super().__init__(id, display_name, tooltip, advanced, default, **numbers)


class Float:
    Output = _type("FLOAT", _Output).Output

    class Input(_Number):
        io_type = "FLOAT"

        def __init__(
            self,
            id: str,
            *,
            display_name: str | None = None,
            optional: bool = False,
            default: float | None = None,
            min: float | None = None,
            max: float | None = None,
            step: float | None = None,
            round: float | None = None,
            tooltip: str | None = None,
            advanced: bool | None = None,
        ) -> None:
            numbers = {"min": min, "max": max, "step": step, "round": round}
            super().__init__(id, display_name, tooltip, advanced, default, optional=optional, **numbers)


class String:
    Output = _type("STRING", _Output).Output

    class Input(_Widget):
        io_type = "STRING"

        def __init__(
            self,
            id: str,
            *,
            optional: bool = False,
            default: str | None = None,
            placeholder: str | None = None,
            tooltip: str | None = None,
            advanced: bool | None = None,
        ) -> None:
            super().__init__(id, tooltip, advanced, default, optional, multiline=False, placeholder=placeholder)


class Combo:
    class Input(_Widget):
        io_type = "COMBO"

        def __init__(
            self,
            id: str,
            options: Sequence[str],
            *,
            optional: bool = False,
            default: str | None = None,
            tooltip: str | None = None,
            advanced: bool | None = None,
        ) -> None:
            super().__init__(id, tooltip, advanced, default, optional, multiselect=False, options=options)
            self.options = options
            if default is not None and default not in options:
                raise ValueError(f"{id} is {default!r} by default, which is none of {', '.join(options)}.")


class DynamicCombo:
    """A menu under which other inputs stand, by what is chosen."""

    class Option:
        def __init__(self, key: str, inputs: Sequence[Input]) -> None:
            self.key, self.inputs = key, inputs
            _check_unique(f"Inputs under {key}", [one.id for one in inputs])

    class Input(Input):
        io_type = "COMFY_DYNAMICCOMBO_V3"

        def __init__(self, id: str, options: "Sequence[DynamicCombo.Option]", *, tooltip: str | None = None) -> None:
            super().__init__(id, tooltip=tooltip)
            self.options = options
            _check_unique(f"Options of {id}", [option.key for option in options])
            self._info["options"] = [{"key": option.key, "inputs": _of(option.inputs)} for option in options]


class Autogrow:
    """Sockets that grow below each other as they are connected."""

    class TemplatePrefix:
        def __init__(self, input: Input, prefix: str, min: int = 1, max: int = 10) -> None:
            if isinstance(input, DynamicCombo.Input | Autogrow.Input):
                raise TypeError(f"{input.id} grows by itself, so that it can be no part of what grows.")
            if not (min >= 0 and 1 <= max <= 100):
                raise ValueError(f"{prefix} may have {min} to {max} sockets, but 100 are the most, and 1 the least.")
            self.input = input
            self.names = [f"{prefix}{k}" for k in range(max)]
            self.info = {"input": _of([input]), "prefix": prefix, "min": min, "max": max}

    class Input(Input):
        io_type = "COMFY_AUTOGROW_V3"

        def __init__(self, id: str, template: "Autogrow.TemplatePrefix", *, tooltip: str | None = None) -> None:
            super().__init__(id, tooltip=tooltip)
            self.template = template
            self._info["template"] = template.info


class MultiType:
    """A socket for several types."""

    class Input(Input):
        def __init__(self, id: str, types: Sequence[Any], *, tooltip: str | None = None) -> None:
            super().__init__(id, tooltip=tooltip)
            self.io_type = ",".join(dict.fromkeys(one.io_type for one in types))


@dataclass(kw_only=True)
class Schema:
    """What a node says of itself."""

    node_id: str
    display_name: str
    category: str
    description: str
    search_aliases: Sequence[str] = ()
    is_input_list: bool = False
    is_output_node: bool = False
    inputs: Sequence[Input] = field(default_factory=list)
    outputs: Sequence[_Output] = field(default_factory=list)

    def __post_init__(self) -> None:
        _check_unique("Inputs", [one.id for one in self.inputs])
        _check_unique("Outputs", [one.id for one in self.outputs])


class NodeOutput:
    """What a node's `execute` returns; `ui` is what is shown on the node."""

    def __init__(self, *args: Any, ui: "_Shown | Mapping[str, Any] | None" = None) -> None:
        if ui is not None and not isinstance(ui, _Shown | Mapping):
            raise TypeError(f"The ui is a {type(ui).__name__}, which ComfyUI cannot show.")
        self.args, self.ui = args, ui

    def __getitem__(self, index: int) -> Any:
        return self.args[index]


class ComfyNode(ABC):
    """What nodes are derived from."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        defined = {name for name in vars(cls) if not name.startswith("_")}
        # A method that ComfyUI does not know is one that it never calls.
        if unknown := defined - set(_CALLED):
            raise TypeError(f"{cls.__name__} has what ComfyUI never asks for: {', '.join(sorted(unknown))}.")
        if missing := {"define_schema", "execute"} - defined:
            raise TypeError(f"{cls.__name__} lacks {' and '.join(sorted(missing))}.")
        if plain := [name for name in defined if not isinstance(vars(cls)[name], classmethod)]:
            raise TypeError(f"ComfyUI calls these of the class {cls.__name__}: {', '.join(sorted(plain))}.")

    @classmethod
    @abstractmethod
    def define_schema(cls) -> Schema: ...

    @classmethod
    @abstractmethod
    def execute(cls, **kwargs: Any) -> NodeOutput: ...

    @classmethod
    def fingerprint_inputs(cls, **kwargs: Any) -> Any:
        """What tells a node that it has to run again."""
        raise NotImplementedError

    @classmethod
    def GET_NODE_INFO_V1(cls) -> dict[str, Any]:
        """What the frontend is told of the node, `object_info`."""
        schema = cls.define_schema()
        inputs: dict[str, Any] = _of(schema.inputs)
        if schema.is_output_node:
            inputs["hidden"] = {"prompt": ("PROMPT",), "extra_pnginfo": ("EXTRA_PNGINFO",)}
        return {
            "input": inputs,
            "input_order": {key: list(value) for key, value in inputs.items()},
            "is_input_list": schema.is_input_list,
            "output": [one.io_type for one in schema.outputs],
            "output_is_list": [False for _ in schema.outputs],
            "output_name": [one.id for one in schema.outputs],
            "output_tooltips": [one.tooltip for one in schema.outputs],
            "output_matchtypes": None,
            "name": schema.node_id,
            "display_name": schema.display_name,
            "description": schema.description,
            "python_module": None,
            "category": schema.category,
            "output_node": schema.is_output_node,
            "deprecated": False,
            "experimental": False,
            "dev_only": False,
            "api_node": False,
            "price_badge": None,
            "search_aliases": list(schema.search_aliases) or None,
            "essentials_category": None,
            "has_intermediate_output": False,
        }


_CALLED = ("define_schema", "execute", "fingerprint_inputs")


class _Shown(ABC):
    """What is shown on a node."""

    @abstractmethod
    def as_dict(self) -> dict[str, Any]: ...


class PreviewImage(_Shown):
    """Pictures (N, H, W, 3) in [0, 1]; ComfyUI writes them into its folder for such files."""

    def __init__(self, image: Any, cls: type[ComfyNode] | None = None) -> None:
        self._count = len(image)

    def as_dict(self) -> dict[str, Any]:
        files = [{"filename": f"{k}.png", "subfolder": "", "type": "temp"} for k in range(self._count)]
        return {"images": files, "animated": (False,)}


class PreviewText(_Shown):
    def __init__(self, value: str) -> None:
        self._value = value

    def as_dict(self) -> dict[str, Any]:
        return {"text": (self._value,)}


class ComfyExtension:
    """What a pack gives to ComfyUI."""

    async def on_load(self) -> None:
        """Called before its nodes are asked for."""

    async def get_node_list(self) -> list[type[ComfyNode]]:
        raise NotImplementedError


class _Namespace:
    def __init__(self, name: str, members: Sequence[Any], **named: Any) -> None:
        vars(self).update({member.__name__: member for member in members} | named)
        self._name = name

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{self._name}.{name} is not among what this pack uses of ComfyUI's API so far.")


_MADE = [Boolean, Combo, Float, Int, String, Autogrow, DynamicCombo, MultiType]
io = _Namespace("io", [*_MADE, Input, Custom, Schema, NodeOutput, ComfyNode], **_WIRED)
ui = _Namespace("ui", [PreviewImage, PreviewText])


class InputImpl:
    """Kinds of VIDEO."""

    class VideoFromFile:
        """A video file, or a part of one."""

        def __init__(self, file: str | BytesIO, *, start_time: float = 0, duration: float = 0) -> None:
            self._file, self._trim = file, (start_time, duration)

        def get_stream_source(self) -> str | BytesIO:
            return self._file

        def get_active_trim_window(self) -> tuple[float, float]:
            return self._trim


def surface() -> dict[str, Callable[..., Any]]:
    """Everything callable that the pack may use, by its dotted name in the real API, such as "io.Int.Input"."""
    video = InputImpl.VideoFromFile
    found: dict[str, Callable[..., Any]] = {
        "ComfyExtension": ComfyExtension,
        "InputImpl.VideoFromFile": video,
        "InputImpl.VideoFromFile.get_stream_source": video.get_stream_source,
        "InputImpl.VideoFromFile.get_active_trim_window": video.get_active_trim_window,
    }
    for space, members in {"io": vars(io), "ui": vars(ui)}.items():
        for name, member in members.items():
            if not name.startswith("_"):
                found[f"{space}.{name}"] = member
                parts = ("Input", "Output", "Option", "TemplatePrefix")
                found |= {f"{space}.{name}.{part}": vars(member)[part] for part in parts if part in vars(member)}
    return found
