"""DINO and CLIP features from folders, by small models of the same layout."""

from pathlib import Path

import pytest
import torch
import transformers

from miva_core.errors import MIVAError
from miva_core.measure.features import load_features


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    sizes |= {"image_size": 32, "patch_size": 8}
    transformers.ViTModel(transformers.ViTConfig(**sizes)).save_pretrained(tmp_path / "dino")
    config = transformers.CLIPVisionConfig(**sizes, projection_dim=12)
    transformers.CLIPVisionModelWithProjection(config).save_pretrained(tmp_path / "clip")
    return {kind: tmp_path / kind for kind in ("dino", "clip")}


@pytest.mark.parametrize(("kind", "width"), [("dino", 16), ("clip", 12)])
def test_features_are_those_of_the_model(kind: str, width: int, folders: dict[str, Path]) -> None:
    frames = torch.rand(3, 32, 32, 3)
    features = load_features(kind, folders[kind])(frames)
    assert features.shape == (3, width)
    # Published with the models: the mean and spread of the pictures they were trained on.
    mean = {"dino": (0.485, 0.456, 0.406), "clip": (0.48145466, 0.4578275, 0.40821073)}[kind]
    std = {"dino": (0.229, 0.224, 0.225), "clip": (0.26862954, 0.26130258, 0.27577711)}[kind]
    pictures = ((frames - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2)
    with torch.no_grad():
        if kind == "dino":
            expected = transformers.ViTModel.from_pretrained(folders[kind]).eval()(pictures).last_hidden_state[:, 0]
        else:
            model = transformers.CLIPVisionModelWithProjection.from_pretrained(folders[kind]).eval()
            expected = model(pictures).image_embeds
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-4)
    larger = load_features(kind, folders[kind])(torch.rand(2, 50, 70, 3))
    assert larger.shape == (2, width) and larger.isfinite().all()


def test_other_folders_are_told(tmp_path: Path, folders: dict[str, Path]) -> None:
    with pytest.raises(MIVAError, match="no DINO model"):
        load_features("dino", tmp_path / "none")
    with pytest.raises(MIVAError, match="type clip_vision_model"):
        load_features("dino", folders["clip"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(MIVAError, match="holds no CLIP model"):
        load_features("clip", tmp_path / "empty")
    (folders["clip"] / "model.safetensors").rename(folders["clip"] / "pytorch_model.bin")
    with pytest.raises(MIVAError, match="holds no CLIP model"):
        load_features("clip", folders["clip"])
