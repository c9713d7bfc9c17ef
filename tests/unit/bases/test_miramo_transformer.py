"""MiraMo's transformer: SANA's frame by frame while its gates of time are closed, and what these add."""

from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from small_miramo import moving_miramo, small_miramo, small_sana
from torch import Tensor, nn

from miva_core.bases.miramo.transformer import MIRAMO, MiraMoBlock, MiraMoTransformer
from miva_core.storage.meta_device import on_meta

FRAMES = 5


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor, Tensor]:
    """Two clips of 12 x 8 latents, their steps, and texts of six words."""
    generator = torch.Generator().manual_seed(0)
    clips = torch.randn(2, 4, FRAMES, 12, 8, generator=generator)
    return clips, torch.tensor([500.0, 10.0]), torch.randn(2, 6, 12, generator=generator)


def test_the_real_one_has_its_parameters() -> None:
    """Counted with one and two of its blocks, which are all alike."""
    models = [on_meta(partial(MiraMoTransformer, **{**MIRAMO, "num_layers": layers})) for layers in (1, 2)]
    one, two = (sum(parameter.numel() for parameter in model.parameters()) for model in models)
    assert one + (MIRAMO["num_layers"] - 1) * (two - one) == 746_084_752


@pytest.mark.parametrize("mask", [None, torch.tensor([[1] * 6, [1] * 4 + [0] * 2])], ids=["all words", "some words"])
def test_with_closed_gates_each_frame_is_that_of_sana(
    inputs: tuple[Tensor, Tensor, Tensor], mask: Tensor | None
) -> None:
    """Bit for bit; of a single clip only nearly so, since libraries round a batch of one picture otherwise."""
    clips, t, text = inputs
    model, sana = small_miramo(), small_sana()
    shared = {name: value for name, value in model.state_dict().items() if name in sana.state_dict()}
    for name in ("time_embed.linear.weight", "time_embed.linear.bias"):
        shared[name] = shared[name][: 6 * 32]
    sana.load_state_dict(shared)
    answer = model(clips, t, text, encoder_attention_mask=mask, degree=torch.tensor([3.0, 15.0])).sample
    frames = [sana(clips[:, :, i], text, t, encoder_attention_mask=mask).sample for i in range(FRAMES)]
    assert torch.equal(answer, torch.stack(frames, dim=2))
    single = model(clips[:1], t[:1], text[:1], encoder_attention_mask=None if mask is None else mask[:1]).sample
    torch.testing.assert_close(single, answer[:1], rtol=0, atol=2e-6)


def test_what_stands_still_stays_still(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    clips, t, text = inputs
    answer = moving_miramo()(clips[:, :, :1].expand(-1, -1, FRAMES, -1, -1), t, text, degree=torch.tensor([3.0, 15.0]))
    torch.testing.assert_close(answer.sample, answer.sample[:, :, :1].expand_as(answer.sample), rtol=0, atol=1e-5)


def test_frames_hear_of_each_other_at_their_times(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    clips, t, text = inputs
    model = moving_miramo()
    answer = model(clips, t, text).sample
    backwards = model(clips.flip(2), t, text).sample.flip(2)
    assert not torch.allclose(backwards, answer, atol=1e-4)
    at_these = model(clips.flip(2), t, text, times=torch.arange(FRAMES).flip(0).float()).sample.flip(2)
    torch.testing.assert_close(at_these, answer, rtol=0, atol=1e-5)
    apart = model(clips, t, text, times=2.5 * torch.arange(FRAMES)).sample
    assert not torch.allclose(apart, answer, atol=1e-4)


def test_a_single_frame_attends_to_itself_alone(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    """It needs no place in time, and its value goes through the maps as it is."""
    clips, t, text = inputs
    model = moving_miramo()
    seen: list[tuple[Tensor, Tensor]] = []
    attention = model.transformer_blocks[0].attn3d
    attention.register_forward_hook(lambda module, args, output: seen.append((args[0], output)))
    model(clips[:, :, :1], t, text)
    x, attended = seen[0]
    expected = F.linear(F.linear(x, attention.to_v.weight), attention.to_out[0].weight, attention.to_out[0].bias)
    torch.testing.assert_close(attended, expected, rtol=0, atol=1e-5)


def test_more_than_64_frames_are_no_slice_of_a_table(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    """Those of 80 frames that are behind MiraMo's table of 64 are turned by their own times, too."""
    clips, t, text = inputs
    model = moving_miramo()
    seen: list[Tensor] = []
    model.transformer_blocks[0].attn3d.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["rotary_emb"]), with_kwargs=True
    )
    model(clips[:1, :, :1, :2, :2].expand(-1, -1, 80, -1, -1), t[:1], text[:1])
    assert seen[0].shape == (80, 8)
    torch.testing.assert_close(seen[0][:, 0].angle().sin(), torch.arange(80.0).sin(), rtol=0, atol=1e-4)
    torch.testing.assert_close(seen[0][79, -1].angle(), torch.tensor(79 / 10_000 ** (14 / 16)), rtol=0, atol=1e-5)


def test_the_degree_counts_once_it_is_trained(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    still, moving = small_miramo(), moving_miramo()
    degrees = torch.tensor([3.0, 15.0])
    for model, counts in ((still, False), (moving, True)):
        answer, without = model(*inputs, degree=degrees).sample, model(*inputs).sample
        assert torch.equal(answer, without) != counts
        assert torch.equal(answer[:1], model(*inputs, degree=degrees[[0, 0]]).sample[:1])


def test_a_block_is_its_formulas() -> None:
    """MiraMo's order: space, time, text, perceptron; each modulated by three of nine vectors, but the text."""
    torch.manual_seed(0)
    block = MiraMoBlock(32, 2, 16, num_cross_attention_heads=2, cross_attention_head_dim=16, cross_attention_dim=32)
    block.requires_grad_(False)
    nn.init.normal_(block.scale_shift_table_attn3d)
    x, text, told = torch.randn(3, 4, 32), torch.randn(1, 5, 32), torch.randn(3, 9 * 32)
    answer = block(x, text, told, None, (3, 2, 2))

    table = [*block.scale_shift_table, *block.scale_shift_table_attn3d]
    said = [[row + entry for row, entry in zip(rows.view(9, 32), table, strict=True)] for rows in told]

    def modulated(y: Tensor, frame: int, first: int) -> Tensor:
        shift, scale = said[frame][first : first + 2]
        return F.layer_norm(y, (32,), eps=1e-6) * (1 + scale) + shift

    over_space = [x[i] + said[i][2] * block.attn1(modulated(x[i], i, 0)[None])[0] for i in range(3)]
    places = [torch.stack([modulated(over_space[i][place], i, 6) for i in range(3)]) for place in range(4)]
    over_time = [block.attn3d(tokens[None])[0] for tokens in places]
    for i in range(3):
        y = over_space[i] + said[i][8] * torch.stack([of_place[i] for of_place in over_time])
        y = y + block.attn2(y[None], encoder_hidden_states=text)[0]
        y = y + said[i][5] * block.ff(modulated(y, i, 3).T.reshape(1, 32, 2, 2)).flatten(2)[0].T
        torch.testing.assert_close(answer[i], y, rtol=0, atol=1e-5)


def test_each_frame_may_have_a_text_of_its_own() -> None:
    torch.manual_seed(0)
    block = MiraMoBlock(32, 2, 16, num_cross_attention_heads=2, cross_attention_head_dim=16, cross_attention_dim=32)
    x, text, told = torch.randn(6, 4, 32), torch.randn(2, 5, 32), torch.randn(6, 9 * 32)
    per_clip = block(x, text, told, None, (3, 2, 2))
    per_frame = block(x, text.repeat_interleave(3, 0), told, None, (3, 2, 2))
    torch.testing.assert_close(per_frame, per_clip, rtol=0, atol=1e-5)


def test_it_is_saved_and_loaded_like_any_model_of_diffusers(tmp_path: Path) -> None:
    model = moving_miramo(attention_bias=True)
    model.save_pretrained(tmp_path)
    loaded = MiraMoTransformer.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    assert loaded.config.attention_bias and loaded.config.num_layers == 2
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_its_shapes_are_known_without_memory() -> None:
    model = on_meta(small_miramo)
    clips, t, text = (torch.zeros(*shape, device="meta") for shape in ((3, 4, 5, 12, 8), (3,), (3, 6, 12)))
    assert model(clips, t, text).sample.shape == clips.shape


def test_gradients_are_the_same_with_checkpointing(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    model = moving_miramo().requires_grad_(True)
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            model.enable_gradient_checkpointing()
        model.zero_grad()
        model(*inputs).sample.square().mean().backward()
        gradients.append(model.transformer_blocks[0].attn3d.to_k.weight.grad)
    assert gradients[0].abs().sum() > 0
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=1e-6)
