"""Grounding DINO: boxes and scores of phrases."""

import json
import logging
from pathlib import Path

import pytest
import torch
from subject_models import DETECTOR, detector, scene
from transformers import (
    GroundingDinoForObjectDetection,
    GroundingDinoProcessor,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
)
from transformers.models.grounding_dino import modeling_grounding_dino as library

from miva_core.errors import MIVAError
from miva_core.subject_mask.detector import check_text_positions
from miva_core.subject_mask.model_files import load_detector
from tools.shapes import boxes_of


def box_overlap(a: list[float], b: list[float]) -> float:
    """Intersection over union of two boxes."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return width * height / (sum(areas) - width * height)


def test_scores_are_means_over_a_phrases_tokens() -> None:
    shown = scene(1, shapes=3)
    phrases = [*shown.names, "the horse"]
    # The library's own reading of text and picture, and the formula by loops.
    processor = GroundingDinoProcessor.from_pretrained(DETECTOR)
    model = GroundingDinoForObjectDetection.from_pretrained(DETECTOR, dtype=torch.float32).eval()
    picture = (shown.frames[0] * 255).round().byte().permute(2, 0, 1)
    inputs = processor(images=picture, text=". ".join(phrases) + ".", return_tensors="pt")
    with torch.no_grad():
        out = model(**inputs)
    ids = inputs["input_ids"][0].tolist()
    spans, start = [], 1
    for k, token in enumerate(ids):
        if token == 1012:
            spans.append(range(start, k))
            start = k + 1
    expected: dict[int, list[tuple[float, list[float]]]] = {k: [] for k in range(4)}
    for query in range(out.logits.shape[1]):
        chances = [
            sum(1 / (1 + float(torch.exp(-out.logits[0, query, t]))) for t in span) / len(span) for span in spans
        ]
        best = max(range(4), key=lambda k: chances[k])
        x, y, w, h = out.pred_boxes[0, query].tolist()
        corners = [128 * (x - w / 2), 96 * (y - h / 2), 128 * (x + w / 2), 96 * (y + h / 2)]
        limits = (128, 96, 128, 96)
        cut = [min(max(c, 0), limit) for c, limit in zip(corners, limits, strict=True)]
        expected[best].append((chances[best], cut))
    found = detector()(shown.frames[0], phrases)
    for k, one in enumerate(found):
        kept: list[tuple[float, list[float]]] = []
        for score, box in sorted(expected[k], reverse=True):
            if all(box_overlap(box, other) <= 0.7 for _, other in kept):
                kept.append((score, box))
        # The oldest release prepares pictures on another way, which rounds otherwise.
        torch.testing.assert_close(one.scores, torch.tensor([score for score, _ in kept]), atol=0.02, rtol=0)
        torch.testing.assert_close(one.boxes, torch.tensor([box for _, box in kept]).reshape(-1, 4), atol=1.5, rtol=0)


def test_shapes_are_found_by_name_in_any_order() -> None:
    shown = scene(2)
    truth = boxes_of(shown.masks[:, 0]).tolist()
    for names, boxes in ((shown.names, truth), (shown.names[::-1], truth[::-1])):
        found = detector()(shown.frames[0], names)
        for one, box in zip(found, boxes, strict=True):
            assert box_overlap(one.boxes[0].tolist(), box) > 0.7
            assert one.scores[0] > 0.3


def test_confidence_and_count_choose_the_best() -> None:
    shown = scene(3)
    one = detector()(shown.frames[0], shown.names)[0]
    limit = one.scores[0].item() - 1e-6
    assert len(one.top(5, limit).boxes) == 1
    assert len(one.top(5, limit + 1e-3).boxes) == 0
    assert torch.equal(one.top(2, 0).boxes, one.boxes[:2])


def test_a_prompt_that_is_too_long_is_told() -> None:
    phrases = [
        f"{article} {colour} {kind}"
        for article in ("a", "the")
        for colour in ("red", "blue", "green")
        for kind in ("circle", "square")
    ]
    with pytest.raises(MIVAError) as caught:
        detector()(torch.rand(96, 96, 3), phrases)
    # [CLS], twelve phrases of three words and a full stop each, [SEP]
    assert str(caught.value) == (
        "The subject prompt is 50 tokens long; this detector reads at most 32. Use fewer or shorter phrases."
    )


def test_a_phrase_of_unknown_words_is_told() -> None:
    with pytest.raises(MIVAError, match="no word of 'pferd'"):
        detector()(torch.rand(96, 96, 3), ["red circle", "pferd"])


def test_mm_grounding_dino_is_read_too(tmp_path: Path) -> None:
    config = json.loads((DETECTOR / "config.json").read_text("utf-8"))
    config = {name: value for name, value in config.items() if name not in ("model_type", "architectures")}
    model = MMGroundingDinoForObjectDetection(MMGroundingDinoConfig(**config)).float()
    model.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "processor_config.json"):
        (tmp_path / name).write_bytes((DETECTOR / name).read_bytes())
    found = load_detector(tmp_path)(torch.rand(96, 128, 3), ["red circle", "blue square"])
    # Random weights: each query is somebody's, but for those that others cover.
    assert 0 < sum(len(one.boxes) for one in found) <= config["num_queries"]


def test_the_library_counts_text_positions_rightly(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check_text_positions.__wrapped__(library)
    assert not caplog.records


def test_a_library_that_counts_wrongly_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # The answer of 5.0 to 5.22 for this row.
    wrong = torch.tensor([[0, 0, 1, 0, 0, 0, 0]])
    monkeypatch.setattr(library, "generate_masks_with_special_tokens_and_transfer_map", lambda ids: (None, wrong))
    monkeypatch.setattr("transformers.__version__", "5.22.2")
    with caplog.at_level(logging.WARNING):
        check_text_positions.__wrapped__(library)
    assert [record.getMessage() for record in caplog.records] == [
        "transformers 5.22.2 computes wrong text positions for Grounding DINO, scores are lower; 5.23 or newer, or "
        "4.57.6, fixes it"
    ]
