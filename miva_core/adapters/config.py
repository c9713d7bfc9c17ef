"""What an adapter is made of: ranks and the few choices in which the paper and the released code differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from ..checks import LARGEST, is_count, is_number, shown
from ..errors import MIVAError


@dataclass(frozen=True)
class MIVAConfig:
    """Structure of one MIVA adapter. Section and equation numbers are those of the paper, arXiv 2512.20000.

    Args:
        cfa_rank: rank of W_Q's change and of W_O in cross-frame attention (3.3.1, B.4.1); None keeps full matrices.
        cfa_softmax: "separate", one softmax per reference frame (Eq. 2), or "joint", one softmax over the keys of both
            with values scaled by λ (the released code).
        cfa_q_bias: whether W_Q's change has a bias, as it may where the base's W_Q has one (Wan).
        cfa_out_bias: whether W_O has a bias.
        cfa_rope: on bases with rotary positions (Wan), whether cross-frame attention uses them too.
        gate_temperature: T > 0 in (λ2, λ3) = softmax((SiLU(temb) W + b) / T).
        gate_bias: whether that map has the bias b.
        ca_rank: hidden width of the two-layer perceptron in place of text cross-attention (3.3.2).
        ca_act: "softmax", as the paper writes it, or "gelu".
        ca_query_bias: where the base's query W_Q has a bias (Wan), whether the perceptron's input keeps it.
        ca_norm: whether a LayerNorm sits between the first layer and the activation.
        ta_rank: rank of the LoRA on q, k, v and out of every temporal self-attention (3.3).
        ta_alpha: that LoRA is scaled by ta_alpha / ta_rank; must be positive.
        mask: whether the adapter generates its subject's mask together with the clip (3.4): cross-frame attention then
            has a W_Q and a W_O of its own for the mask stream.
        image_guidance: whether each frame of the mask also attends to its frame of the clip (the released code).
        region_rank: length of the codes that carry a soft mask into attention, see `regions.RegionCodes`.
        degree: whether the perceptron hears how much motion is wanted (MiraMo), see `DegreeRange`.
        words: whether it hears a text, through temporal attention alone (EDG, arXiv 2503.00948, stage 1).
        guide: what its base is guided by where it acts, see `Guide`: the "mask" of what it moves, or "nearness".

    Raises:
        MIVAError: a value has the wrong type or is out of range.
    """

    cfa_rank: int | None = 128
    cfa_softmax: Literal["separate", "joint"] = "separate"
    cfa_q_bias: bool = False
    cfa_out_bias: bool = False
    cfa_rope: bool = True
    gate_temperature: float = 0.2
    gate_bias: bool = True
    ca_rank: int = 64
    ca_act: Literal["gelu", "softmax"] = "gelu"
    ca_norm: bool = True
    ca_query_bias: bool = True
    ta_rank: int = 32
    ta_alpha: float = 1.0
    mask: bool = False
    image_guidance: bool = True
    region_rank: int = 16
    degree: bool = False
    words: bool = False
    guide: Literal["", "mask", "nearness"] = ""

    def __post_init__(self) -> None:
        if self.cfa_rank is not None:
            _check_rank(self, "cfa_rank", also="None for full matrices")
        _check_rank(self, "ca_rank")
        _check_rank(self, "ta_rank")
        _check_choice(self, "cfa_softmax", ("separate", "joint"))
        _check_choice(self, "ca_act", ("gelu", "softmax"))
        _check_choice(self, "guide", ("", "mask", "nearness"))
        if self.guide and self.mask:
            raise MIVAError(f"The guide is {self.guide!r}, but an adapter that makes its subject's mask takes none.")
        for name in _SWITCHES:
            _check_choice(self, name, (True, False))
        if not (is_count(self.region_rank) and self.region_rank <= 64):
            raise MIVAError(f"region_rank is {shown(self.region_rank)}, expected an integer from 1 to 64.")
        _check_positive(self, "gate_temperature")
        _check_positive(self, "ta_alpha")

    @property
    def takes_mask(self) -> bool:
        """Whether a mask says where the adapter acts."""
        return self.mask or self.guide == "mask"

    @classmethod
    def default(cls) -> MIVAConfig:
        """The paper's structure, with the gate and the prompt perceptron that train well in the released code."""
        return cls()

    @classmethod
    def paper(cls) -> MIVAConfig:
        """The formulas of section 3.3 to the letter."""
        return cls(gate_temperature=1.0, gate_bias=False, ca_act="softmax", ca_norm=False)

    @classmethod
    def official_animatediff(cls) -> MIVAConfig:
        """The structure that the authors' AnimateDiff code builds."""
        return cls(cfa_rank=None, cfa_softmax="joint", cfa_out_bias=True)

    @classmethod
    def official_wan(cls) -> MIVAConfig:
        """The structure that the authors' Wan code builds.

        Here cross-frame attention runs in parallel to self-attention, on the same tokens and inside its gate, as in
        Eq. 2 of the paper; their code runs it after self-attention, on the raw residual and outside the gate.
        """
        return cls(
            cfa_rank=None,
            cfa_softmax="joint",
            cfa_q_bias=True,
            cfa_out_bias=True,
            cfa_rope=False,
            ca_query_bias=False,
            image_guidance=False,
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields by name as files hold them; what older code does not know is left out where it is not used."""
        return {name: value for name, value in asdict(self).items() if value or name not in _LATER}

    @property
    def since_version(self) -> int:
        """The first format version of adapter files that knows all of this structure."""
        return 2 if any(getattr(self, name) for name in _LATER) else 1

    @classmethod
    def from_dict(cls, data: Any) -> MIVAConfig:
        """A config from its fields by name; a field left out takes its default.

        Args:
            data: a mapping of field names to values, such as JSON gives.

        Raises:
            MIVAError: `data` is no mapping, or it has an unknown field or a value of the wrong type.
        """
        if not isinstance(data, Mapping):
            raise MIVAError(f"A MIVA config is a JSON object, but this one is {shown(data)}.")
        names = [field.name for field in fields(cls)]
        unknown = sorted(set(data) - set(names))
        if unknown:
            raise MIVAError(f"The MIVA config has unknown fields {shown(unknown)}; the known ones are {names}.")
        return cls(**data)


_SWITCHES = (
    "cfa_q_bias",
    "cfa_out_bias",
    "cfa_rope",
    "gate_bias",
    "ca_norm",
    "ca_query_bias",
    "mask",
    "image_guidance",
    "degree",
    "words",
)

_LATER = ("degree", "words", "guide")
"""Fields that older code does not know; files and checkpoints name them only where they are set."""


def _check_rank(config: MIVAConfig, name: str, also: str = "") -> None:
    value = getattr(config, name)
    if not is_count(value):
        raise MIVAError(
            f"{name} is {shown(value)}, expected an integer from 1 to {LARGEST}{' or ' + also if also else ''}."
        )


def _check_choice(config: MIVAConfig, name: str, choices: tuple[Any, ...]) -> None:
    value = getattr(config, name)
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        raise MIVAError(f"{name} is {shown(value)}, expected one of {list(choices)}.")


def _check_positive(config: MIVAConfig, name: str) -> None:
    value = getattr(config, name)
    # Beyond these bounds a softmax or a scale in float32 gives NaN.
    if not (is_number(value) and 1e-6 <= value <= 1e6):
        raise MIVAError(f"{name} is {shown(value)}, expected a number from 1e-6 to 1e6.")
