"""Linear attention against softmax: MiraMo's kernels by themselves, and whole models with the one or the other.

    python -m benchmarks.linear_attention [--seconds 0.4] [--out benchmarks/results]

Times are those of the processor on one thread, and the least of some repetitions, since what shares the machine can
only add to them. The model is a small MiraMo, four blocks 128 wide with heads of 32 channels, on random weights.
Operations are counted on MiraMo's real shapes, without weights.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from miva_core.bases.miramo.linear_attention import cosine_attention, relu_attention, relu_sums, rotations
from miva_core.bases.miramo.transformer import MIRAMO, MiraMoTransformer
from miva_core.storage.meta_device import on_meta

COUNTS = (16, 64, 256, 1024, 2048, 4096, 8192)
"""Tokens that attend to each other."""
FLAT_FROM, FLAT_WITHIN = 1024, 1.4
"""From so many tokens on, the time a token takes is to stay within this factor."""
ALL, HEADS, CHANNELS = 8192, 4, 32
"""Tokens in all of the kernels by themselves; heads, and channels of each."""
LEAST_OVER_TIME = 2048
"""Tokens in all of the model with attention over time, at least."""
SMALL: dict[str, Any] = {
    "in_channels": 8,
    "out_channels": 8,
    "num_attention_heads": HEADS,
    "attention_head_dim": CHANNELS,
    "num_layers": 4,
    "num_cross_attention_heads": HEADS,
    "cross_attention_head_dim": CHANNELS,
    "cross_attention_dim": HEADS * CHANNELS,
    "caption_channels": 64,
    "patch_size": 1,
    "sample_size": 8,
}
FRAMES = 16
"""Of a clip of MiraMo."""
REAL_SIZE = (60, 96)
"""Latents of 480 x 768."""

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]
Times = Mapping[str, Sequence[float]]
"""Microseconds a token, by what is measured, for each of `COUNTS`."""


def cosine(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """MiraMo's, of tokens with a place in time."""
    return cosine_attention(q, k, v, rotations(torch.arange(q.shape[-2], device=q.device), q.shape[-1]))


def relu(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """SANA's."""
    return relu_attention(q, relu_sums(k, v))


def softmax(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's fastest."""
    return F.scaled_dot_product_attention(q, k, v)


KERNELS: dict[str, Kernel] = {"cosine + RoPE": cosine, "ReLU": relu, "softmax": softmax}


class Attending:
    """A processor of diffusers with a kernel, over the rows as they are, or over all tokens as one row."""

    def __init__(self, kernel: Kernel, joined: bool) -> None:
        self.kernel, self.joined = kernel, joined

    def __call__(self, attn: Any, hidden_states: Tensor, rotary_emb: Tensor | None = None, **_: Any) -> Tensor:
        rows = hidden_states.flatten(0, 1)[None] if self.joined else hidden_states
        layers = attn.to_q, attn.to_k, attn.to_v
        q, k, v = (layer(rows).unflatten(-1, (attn.heads, -1)).transpose(1, 2) for layer in layers)
        return attn.to_out[0](self.kernel(q, k, v).transpose(1, 2).flatten(2)).view_as(hidden_states)


def least_seconds(call: Callable[[], object], seconds: float) -> float:
    """The least time of the processor that a call takes.

    Args:
        call: repeated at least twice, after once for nothing.
        seconds: for at least so long.
    """
    call()
    taken: list[float] = []
    while len(taken) < 2 or sum(taken) < seconds:
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return min(taken)


def core_times(seconds: float) -> Times:
    """Of the kernels by themselves, 8192 tokens in all."""
    times: dict[str, list[float]] = {name: [] for name in KERNELS}
    for count in COUNTS:
        tokens = torch.randn(3, ALL // count, HEADS, count, CHANNELS)
        for name, kernel in KERNELS.items():
            times[name].append(1e6 / ALL * least_seconds(lambda kernel=kernel, parts=tokens: kernel(*parts), seconds))
    return times


def model_times(over: str, seconds: float) -> Times:
    """Of the small model, whose attention over space, over time, or over both at once is linear or softmax."""
    times: dict[str, list[float]] = {"linear": [], "softmax": []}
    for count in COUNTS:
        over_time = count, max(1, LEAST_OVER_TIME // count)
        frames, places = {"space": (1, count), "time": over_time, "both": (FRAMES, count // FRAMES)}[over]
        for name, kernel in (("linear", relu if over != "time" else cosine), ("softmax", softmax)):
            call = model_call(attending(MiraMoTransformer(**SMALL), over, kernel), frames, grid(places))
            times[name].append(1e6 / frames / places * least_seconds(call, seconds))
    return times


def attending(model: MiraMoTransformer, over: str, kernel: Kernel) -> MiraMoTransformer:
    """A model with a kernel in place of its own: over "space", over "time", or over "both" at once."""
    for block in model.transformer_blocks:
        (block.attn3d if over == "time" else block.attn1).set_processor(Attending(kernel, joined=over == "both"))
    return model.eval().requires_grad_(False)


def model_call(model: MiraMoTransformer, frames: int, size: tuple[int, int]) -> Callable[[], object]:
    device, config = next(model.parameters()).device, model.config
    clip = torch.randn(1, config.in_channels, frames, *size, device=device)
    text = torch.randn(1, 4, config.caption_channels, device=device)
    return lambda: model(clip, torch.tensor([500.0], device=device), text)


def grid(places: int) -> tuple[int, int]:
    """Height and width, as near to a square as powers of two are."""
    height = 2 ** ((places.bit_length() - 1) // 2)
    return height, places // height


def operations(over: str, kernel: Kernel) -> int:
    """FLOP of a step of the real MiraMo for a clip of 480 x 768, 16 frames, all blocks of which are alike."""
    one, two = (_operations(over, kernel, blocks) for blocks in (1, 2))
    return one + (MIRAMO["num_layers"] - 1) * (two - one)


def _operations(over: str, kernel: Kernel, blocks: int) -> int:
    model = on_meta(lambda: MiraMoTransformer(**{**MIRAMO, "num_layers": blocks}))
    call = model_call(attending(model, over, kernel), FRAMES, REAL_SIZE)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call()
    return counter.get_total_flops()


def crossover(linear: Sequence[float], softmax: Sequence[float]) -> str:
    """From how many tokens on linear attention takes less time, in words."""
    slower = [count for count, ours, theirs in zip(COUNTS, linear, softmax, strict=True) if ours > theirs]
    if not slower:
        return f"linear is faster at every length, from {COUNTS[0]} on"
    if slower[-1] == COUNTS[-1]:
        return "linear is never faster"
    return f"linear is faster beyond {slower[-1]} tokens, from {COUNTS[COUNTS.index(slower[-1]) + 1]} on for certain"


def flatness(linear: Sequence[float]) -> str:
    """How even the time of a token is from `FLAT_FROM` tokens on, in words."""
    late = [value for count, value in zip(COUNTS, linear, strict=True) if count >= FLAT_FROM]
    factor = max(late) / min(late)
    kept = "within" if factor <= FLAT_WITHIN else "which misses"
    return f"from {FLAT_FROM} tokens on the time of a token varies by a factor of {factor:.2f}, {kept} {FLAT_WITHIN}"


def table(times: Times) -> list[str]:
    """µs a token, and how many times as long softmax takes as the first kernel."""
    first = next(iter(times))
    rows = [[name, *(f"{value:.2f}" for value in values)] for name, values in times.items()]
    ratios = [theirs / ours for ours, theirs in zip(times[first], times["softmax"], strict=True)]
    rows.append([f"softmax to {first}", *(f"{ratio:.2f}" for ratio in ratios)])
    head = ["µs a token", *map(str, COUNTS)]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


SECTIONS = {
    "space": ("Attention over space", "One frame of so many tokens; ReLU."),
    "time": ("Attention over time", "So many frames, at least 2048 tokens in all; cosine and RoPE."),
    "both": (
        "Attention over space and time at once",
        "16 frames of so many tokens in all; ReLU, without times.",
    ),
}


def report(cores: Times, models: Mapping[str, Times], counted: Mapping[str, float]) -> str:
    lines = [
        "# Linear attention against softmax",
        "",
        f"Time of the processor on one thread, the least of some repetitions; torch {torch.__version__}.",
        "",
        "## The kernels by themselves",
        "",
        "So many tokens attend to each other, 8192 in all, four heads of 32 channels.",
        "",
        *table(cores),
        "",
        *(
            f"* {name}: {crossover(cores[name], cores['softmax'])}; {flatness(cores[name])}."
            for name in ("cosine + RoPE", "ReLU")
        ),
    ]
    for over, times in models.items():
        title, text = SECTIONS[over]
        words = [f"{crossover(times['linear'], times['softmax'])};", f"{flatness(times['linear'])}."]
        lines += ["", f"## {title}, the whole model", "", text, "", *table(times), "", f"* {' '.join(words)}"]
    lines += ["", "## Operations of the real MiraMo", "", "A step at 480x768, 16 frames, 1440 tokens each.", ""]
    lines += ["| softmax in place of linear attention | operations |", "|---|---|"]
    lines += [f"| over {over} | x {ratio:.3f} |" for over, ratio in counted.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.4, help="that each is repeated for, at least")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.no_grad():
        cores = core_times(options.seconds)
        models = {over: model_times(over, options.seconds) for over in SECTIONS}
    counted = {
        over: operations(over, softmax) / operations(over, cosine if over == "time" else relu) for over in SECTIONS
    }
    (options.out / "linear_attention.md").write_text(report(cores, models, counted), encoding="utf-8")
    print(report(cores, models, counted))


if __name__ == "__main__":
    main()
