"""What words do stays as it was, and what no word has moves layers."""

import torch

from miva_core.bases.miramo.flowing_miramo import UNIT_WORD
from miva_core.bases.miramo.motion_basis import exponential
from tools.miramo.free_directions import free_directions, unused_directions
from tools.miramo.model import WordedMiraMo, build_model, load_codec


@torch.no_grad()
def test_words_do_what_they_did_and_other_directions_move_layers() -> None:
    torch.manual_seed(0)
    worded = WordedMiraMo(build_model(load_codec(), num_layers=1))
    maps, words = worded.model.layers, worded.vectors[1:]
    said = words[torch.randint(len(words), (4, 1, 3))] * torch.rand(4, 1, 3, 1)

    def answered(caption: torch.Tensor) -> list[torch.Tensor]:
        motions = maps(caption)
        layers = motions.camera, motions.staying, motions.carried
        parts = [part for layer in layers for part in (layer.generators, layer.amplitudes)]
        return [*parts, motions.depth, worded.model.caption_embed(caption), worded.model.caption_projection(caption)]

    before, half = answered(said), words[:, : words.shape[1] // 2]
    unused = unused_directions(half)
    torch.testing.assert_close(unused @ unused.T, torch.eye(len(unused)), rtol=0, atol=1e-5)
    torch.testing.assert_close(unused @ half.T, torch.zeros(len(unused), len(half)), rtol=0, atol=1e-4)
    free_directions(worded.model, words)
    for found, wanted in zip(answered(said), before, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    # A turn: x' = -y and y' = x, about the middle of what a mask marks.
    turn = torch.zeros(1, 1, 3, words.shape[1])
    turn[..., 1, : half.shape[1]] = UNIT_WORD * (unused[3] - unused[1])
    generator = maps(turn).staying.generators[0, 0]
    torch.testing.assert_close(generator, 0.03 * torch.tensor([[0.0, -1, 0], [1, 0, 0]]), rtol=1e-4, atol=1e-6)
    turned = exponential(generator[None, None], torch.tensor([10.0]))[0, 0, :, :2]
    torch.testing.assert_close(turned @ turned.T, torch.eye(2), rtol=0, atol=1e-5)
    assert max(part.abs().max() for part in answered(turn)[-3:]) < 1e-5
