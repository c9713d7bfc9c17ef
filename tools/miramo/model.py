"""The built-in MiraMo with its words: what it is made of, its half-precision files, and its export."""

import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import FlowMatchEulerDiscreteScheduler
from safetensors.torch import save_file
from torch import Tensor, nn

from miva_core.bases.miramo.caption_layers import SLOTS as CAPTION_SLOTS
from miva_core.bases.miramo.flowing_miramo import FlowingMiraMo
from miva_core.bases.miramo.spec import CODEC
from miva_core.bases.tiny.patch_codec import PatchCodec
from miva_core.errors import MIVAError
from miva_core.motion_fields.motions import MOTIONS
from tools.miramo.free_directions import free_directions
from tools.motion_world.batch import SLOTS, WORDS

TEXT_DIM = 64
SCHEDULE = {"num_train_timesteps": 1000, "shift": 1.0}
SETTINGS = {
    # To be changed with the weights: adapters fit only the base they were trained on.
    "revision": "miramo-2",
    "caption_slots": len(CAPTION_SLOTS),
    "frames": 16,
    # Motions are formulas of time, which may go on as long as one likes.
    "longest": 64,
    "size": [64, 64],
    "multiple": 8,
    "fps": 8,
    # The noise says nothing of the motion: the first step answers it, later ones repaint what comes into view.
    "steps": 3,
    "last_timestep": 800,
    "noise": {"shared_ratio": 0.0, "dct": False},
}
WORD_LENGTH = 8.0
"""Of a new word's vector, at unit speed."""
WIDTH, HEADS, BLOCKS = 128, 4, 4


def load_codec() -> PatchCodec:
    """The codec of the other built-in base, whose latents this one shares."""
    codec: PatchCodec = PatchCodec.from_pretrained(CODEC, torch_dtype=torch.float32)
    return codec.eval().requires_grad_(False)


def build_model(codec: PatchCodec, **changed: Any) -> FlowingMiraMo:
    """A new model whose patches are those of the codec, with settings that differ from the shipped one's."""
    channels = codec.config.latent_channels
    config = {
        "in_channels": channels,
        "out_channels": channels,
        "num_attention_heads": HEADS,
        "attention_head_dim": WIDTH // HEADS,
        "num_layers": BLOCKS,
        "num_cross_attention_heads": HEADS,
        "cross_attention_head_dim": WIDTH // HEADS,
        "cross_attention_dim": WIDTH,
        "caption_channels": TEXT_DIM,
        "patch_size": 1,
        "sample_size": 8,
    }
    model = FlowingMiraMo(**config | changed)
    model.patches.load_state_dict(codec.patches.state_dict())
    return model


class WordedMiraMo(nn.Module):
    """A model with the words of its captions.

    Attributes:
        words: vectors of `WORDS`; what counts of them is in `vectors`.

    Args:
        model: the video model.
    """

    halves: Tensor

    def __init__(self, model: FlowingMiraMo) -> None:
        super().__init__()
        self.model = model
        dim = model.config.caption_channels
        self.words = nn.Embedding(len(WORDS), dim, padding_idx=0)
        self.register_buffer("halves", _halves(dim), persistent=False)
        self._start_words()

    @torch.no_grad()
    def _start_words(self) -> None:
        """Words of one layer begin at right angles to each other: what one learns says nothing of another."""
        drawn = torch.zeros_like(self.words.weight)
        for half in self.halves.unique(dim=0):
            rows = (self.halves == half).all(1).nonzero()[:, 0]
            columns = half.nonzero()[:, 0]
            directions = nn.init.orthogonal_(torch.empty(len(rows), len(columns)), gain=WORD_LENGTH)
            drawn[rows[:, None], columns] = directions
        self.words.weight.copy_(drawn)

    @property
    def learnt(self) -> dict[str, nn.Parameter]:
        """What is learnt, by name: all but the copy of the codec's patches."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def caption(self, words: Tensor, speeds: Tensor) -> Tensor:
        """Captions (B, 3, D) of words (B, 3), 0 for none, each as long as its motion is fast."""
        return F.embedding(words, self.vectors) * speeds[..., None]

    @property
    def vectors(self) -> Tensor:
        """Vectors (words, D) at unit speed, each in the half of its slot that its layer hears."""
        return self.words.weight * self.halves


def words_of(kinds: Collection[str]) -> list[int]:
    """The numbers of the words of some kinds of motion."""
    return [number for number, word in enumerate(WORDS) if word and MOTIONS[word].kind in kinds]


def _halves(dim: int) -> Tensor:
    """(words, D), 1 where a word's layer hears its vector, see `CaptionLayers`."""
    later = torch.arange(dim) >= dim // 2
    kinds = [MOTIONS[word].kind if word else "" for word in WORDS]
    return torch.stack([(later == (kind in ("depth", "carried"))) & (kind != "") for kind in kinds]).float()


def export(checkpoint: Path, out: Path) -> None:
    """Write the shipped parts from averaged weights, all of them beside their places first: a mixed base would load.

    Args:
        checkpoint: see `half_precision`.
        out: folder that the package loads the base from.
    """
    model = WordedMiraMo(build_model(load_codec()))
    load_halves(checkpoint, model)
    free_directions(model.model, model.vectors[1:])
    new = out / "new"
    model.model.half().save_pretrained(new / "transformer")
    FlowMatchEulerDiscreteScheduler(**SCHEDULE).save_pretrained(new / "scheduler")
    names = [f"{CAPTION_SLOTS[SLOTS[MOTIONS[word].kind]]} {word}" for word in WORDS[1:]]
    save_file({"weight": model.vectors[1:].detach().half()}, new / "words.safetensors", {"words": json.dumps(names)})
    (new / "settings.json").write_text(json.dumps(SETTINGS, indent=2) + "\n", encoding="utf-8")
    for path in [path for path in new.rglob("*") if path.is_file()]:
        place = out / path.relative_to(new)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.chmod(0o644)
        path.replace(place)
    shutil.rmtree(new)


def load_halves(path: Path, model: WordedMiraMo) -> None:
    """Read what `save_halves` wrote into a model.

    Raises:
        MIVAError: it is of another model.
    """
    fill(model, torch.load(path, weights_only=True, map_location="cpu"), path)


@torch.no_grad()
def fill(model: WordedMiraMo, saved: Mapping[str, Tensor], path: Path) -> None:
    """Put saved values into what a model learns.

    Args:
        model: whose parameters are replaced.
        saved: values by name.
        path: of the file that they come from, for messages.

    Raises:
        MIVAError: they are another model's.
    """
    learnt = model.learnt
    if {name: value.shape for name, value in saved.items()} != {name: value.shape for name, value in learnt.items()}:
        raise MIVAError(f"{path} holds the weights of another model: give a file that this training wrote.")
    for name, parameter in learnt.items():
        parameter.copy_(saved[name])
