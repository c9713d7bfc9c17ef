"""Our reading of original checkpoints against the original packages, at real sizes with random weights.

Left out unless both packages are installed, which takes an environment of its own, since one of them needs an old
transformers:

    pip install -r requirements.txt pytest "transformers==4.57.6" wheel "setuptools<81"
    pip install --no-build-isolation sam2==1.1.0 groundingdino-py==0.4.0
    python -m pytest tests/parity
"""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from miva_core.subject_mask.model_files import load_detector, load_segmenter
from miva_core.subject_mask.shape_models import SHAPES

groundingdino = pytest.importorskip("groundingdino")
sam2 = pytest.importorskip("sam2")

torch.set_num_threads(2)


def stir(model: torch.nn.Module) -> None:
    """Fill what begins at zero or one, so that every parameter counts."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.std() == 0 or parameter.numel() == 1:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("config", ["sam2.1/sam2.1_hiera_t", "sam2/sam2_hiera_t"])
def test_sam2_of_pictures(config: str, tmp_path: Path) -> None:
    from sam2.build_sam import build_sam2
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    torch.manual_seed(0)
    original = build_sam2(f"configs/{config}.yaml", device="cpu").eval()
    stir(original)
    torch.save({"model": original.state_dict()}, tmp_path / "sam2.pt")
    # The size it works at, so that no resizing differs.
    picture = torch.rand(1024, 1024, 3)
    box = torch.tensor([[200.0, 300.0, 700.0, 800.0]])
    predictor = SAM2ImagePredictor(original)
    predictor.set_image((picture * 255).round().byte().numpy())
    _, _, low = predictor.predict(box=box.numpy(), multimask_output=False, return_logits=True)
    expected = torch.nn.functional.interpolate(torch.from_numpy(low)[None], (1024, 1024), mode="bilinear")[0]
    torch.testing.assert_close(load_segmenter(tmp_path / "sam2.pt")(picture, boxes=box), expected, atol=1e-4, rtol=1e-4)


def same_proposals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the second model take the proposals of the first: with random weights some score within rounding errors."""
    chosen: list[torch.Tensor] = []
    usual = torch.topk

    def topk(scores: torch.Tensor, k: int, **options: int) -> tuple[torch.Tensor, torch.Tensor]:
        if not chosen:
            chosen.append(usual(scores, k, **options)[1])
        values = scores.gather(1, chosen[0])
        torch.testing.assert_close(values, usual(scores, k, **options)[0], atol=1e-3, rtol=0)
        return values, chosen[0]

    monkeypatch.setattr(torch, "topk", topk)


def test_grounding_dino(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from groundingdino.models import build_model
    from groundingdino.util.slconfig import SLConfig
    from transformers import BertConfig, BertModel, BertTokenizerFast

    bert = tmp_path / "bert-base-uncased"
    words = json.loads((SHAPES / "grounding-dino" / "tokenizer.json").read_text("utf-8"))
    vocabulary = words["model"]["vocab"]
    words["model"]["vocab"] |= {f"[rest{k}]": k for k in set(range(30522)) - set(vocabulary.values())}
    bert.mkdir()
    (bert / "tokenizer.json").write_text(json.dumps(words), "utf-8")
    tokenizer = BertTokenizerFast(tokenizer_object=Tokenizer.from_file(str(bert / "tokenizer.json")))
    tokenizer.save_pretrained(bert)
    torch.manual_seed(0)
    BertModel(BertConfig()).save_pretrained(bert)

    config = SLConfig.fromfile(str(Path(groundingdino.__file__).parent / "config" / "GroundingDINO_SwinT_OGC.py"))
    config.text_encoder_type, config.device = str(bert), "cpu"
    original = build_model(config).eval()
    stir(original)
    weights = {f"module.{name}": tensor for name, tensor in original.state_dict().items()}
    torch.save({"model": weights}, tmp_path / "groundingdino_swint_ogc.pth")

    detector = load_detector(tmp_path / "groundingdino_swint_ogc.pth")
    pixels = torch.randn(1, 3, 320, 416)
    ids = torch.tensor([detector.tokenize(["red circle", "blue square"])[0]])
    same_proposals(monkeypatch)
    with torch.no_grad():
        theirs = original(pixels, captions=["red circle. blue square."])
        mine = detector.model(pixels, ids, torch.zeros_like(ids), torch.ones_like(ids), torch.ones(1, 320, 416).long())
    length = ids.shape[1]
    chances = [logits[..., :length].sigmoid() for logits in (mine.logits, theirs["pred_logits"])]
    torch.testing.assert_close(*chances, atol=2e-4, rtol=0)
    torch.testing.assert_close(mine.pred_boxes, theirs["pred_boxes"], atol=1e-4, rtol=1e-4)
