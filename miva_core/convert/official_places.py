"""The names of parameters in the authors' checkpoints: pairs of our parameter name and theirs, site by site."""

from collections.abc import Iterator

from ..adapters.backbone import Site
from .motion_lora import temporal_place

Places = Iterator[tuple[str, str]]
"""Our name of a parameter, and theirs."""

_LORA = {"q": "to_q_lora", "k": "to_k_lora", "v": "to_v_lora", "out": "to_out_lora"}


def site_key(site: Site) -> str:
    """How the names of an adapter's parameters at a site begin."""
    return f"sites.{site.id.replace('.', '/')}"


def animatediff_places(site: Site) -> Places:
    """All of a site but its mask stream, as adapter.pt of AnimateDiff has it."""
    key, block = site_key(site), site.id.rpartition(".")[0]
    if site.kind == "sa":
        yield f"{key}.cfa.q.up", f"{block}.i2v_adapter.to_q.weight"
        yield f"{key}.cfa.out.up", f"{block}.i2v_adapter.to_out.0.weight"
        yield f"{key}.cfa.bias", f"{block}.i2v_adapter.to_out.0.bias"
        yield from _linear(f"{key}.gate", f"{block}.i2v_adapter.processor.weight_module.linear")
    elif site.kind == "ca":
        yield from _prompt(key, f"{block}.sCA")
    else:
        place = temporal_place(site)
        for name, lora in _LORA.items():
            yield f"{key}.ta.{name}.down", f"{place}.{lora}.down.weight"
            yield f"{key}.ta.{name}.up", f"{place}.{lora}.up.weight"


def animatediff_mask_places(site: Site) -> Places:
    """The mask stream of a site in adapter.pt of AnimateDiff."""
    key, block = site_key(site), site.id.rpartition(".")[0]
    if site.kind == "sa":
        yield f"{key}.cfa_mask.q.up", f"{block}.i2v_adapter.processor.to_q_mask.weight"
        yield f"{key}.cfa_mask.out.up", f"{block}.i2v_adapter.processor.to_out_mask.0.weight"
        yield f"{key}.cfa_mask.bias", f"{block}.i2v_adapter.processor.to_out_mask.0.bias"


def wan_places(site: Site) -> Places:
    """All of a site but its mask stream, as a Wan checkpoint with whole matrices has it."""
    key, block = site_key(site), site.id.rpartition(".")[0]
    if site.kind == "ca":
        yield from _prompt(key, f"{block}.cross_attn")
        return
    yield from _whole_pair(f"{key}.cfa", f"{block}.i2v_adapter", "q", "o")
    yield from _linear(f"{key}.gate", f"{block}.i2v_adapter.weight_module.linear")


def wan_mask_places(site: Site) -> Places:
    """The mask stream of a site in a Wan checkpoint with whole matrices."""
    if site.kind == "sa":
        yield from _whole_pair(f"{site_key(site)}.cfa_mask", f"{site.id.rpartition('.')[0]}.i2v_adapter", "q_m", "o_m")


def wan_peft_places(site: Site) -> Places:
    """All of a site but its mask stream, as a Wan checkpoint by PEFT has it."""
    key, block = site_key(site), site.id.rpartition(".")[0]
    if site.kind == "ca":
        yield from _prompt(key, f"{block}.cross_attn")
        return
    yield from _lora_pair(f"{key}.cfa", f"{block}.i2v_adapter", "q", "o")
    yield from _linear(f"{key}.gate", f"{block}.i2v_adapter.weight_module.linear")


def wan_peft_mask_places(site: Site) -> Places:
    """The mask stream of a site in a Wan checkpoint by PEFT."""
    if site.kind == "sa":
        yield from _lora_pair(f"{site_key(site)}.cfa_mask", f"{site.id.rpartition('.')[0]}.i2v_adapter", "q_m", "o_m")


def _whole_pair(ours: str, theirs: str, query: str, out: str) -> Places:
    yield f"{ours}.q.up", f"{theirs}.{query}.weight"
    yield f"{ours}.q_bias", f"{theirs}.{query}.bias"
    yield f"{ours}.out.up", f"{theirs}.{out}.weight"
    yield f"{ours}.bias", f"{theirs}.{out}.bias"


def _lora_pair(ours: str, theirs: str, query: str, out: str) -> Places:
    for name, linear in (("q", query), ("out", out)):
        yield f"{ours}.{name}.down", f"{theirs}.{linear}.lora_A.weight"
        yield f"{ours}.{name}.up", f"{theirs}.{linear}.lora_B.weight"


def _linear(ours: str, theirs: str) -> Places:
    for part in ("weight", "bias"):
        yield f"{ours}.{part}", f"{theirs}.{part}"


def _prompt(key: str, place: str) -> Places:
    yield f"{key}.ca.first", f"{place}.CA2.weight"
    yield f"{key}.ca.norm_weight", f"{place}.CA_norm.weight"
    yield f"{key}.ca.norm_bias", f"{place}.CA_norm.bias"
    yield f"{key}.ca.second", f"{place}.CA3.weight"
