"""Files of Grounding DINO and SAM 2: original checkpoints by name and shape, and what is wrong with a file."""

import gzip
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from subject_models import DETECTOR, SEGMENTER, detector, scene, segmenter
from torch import Tensor

from miva_core.errors import MIVAError
from miva_core.subject_mask import grounding_dino_names, model_files, sam2_names
from miva_core.subject_mask.model_files import load_detector, load_segmenter
from tools.shapes import boxes_of

# Names and shapes of all tensors in the published files.
ORIGINALS = json.loads(
    gzip.decompress((Path(__file__).parents[2] / "fixtures" / "original_checkpoints.json.gz").read_bytes())
)
SAM2 = [name for name in ORIGINALS if name.startswith("sam2")]
GROUNDING_DINO = [name for name in ORIGINALS if name.startswith("grounding")]
# Width, and blocks of each stage.
SIZES = {
    "tiny": (96, [1, 2, 7, 2]),
    "small": (96, [1, 2, 11, 2]),
    "base_plus": (112, [2, 3, 16, 3]),
    "large": (144, [2, 6, 36, 4]),
}


def tensors_of(file: str) -> dict[str, Tensor]:
    """Stand-ins of the real shapes that take no memory, each filled with a number of its own."""
    shapes = {name.removeprefix("module."): shape for name, shape in ORIGINALS[file].items()}
    return {name: torch.tensor(float(k)).expand(shape) for k, (name, shape) in enumerate(shapes.items())}


@pytest.mark.parametrize("file", SAM2)
def test_every_sam2_file_fits_its_model(file: str) -> None:
    tensors = tensors_of(file)
    config = sam2_names.configuration(tensors, file)
    size = file.split("hiera_")[1].removesuffix(".pt")
    hiera = config.vision_config.backbone_config
    assert (hiera.hidden_size, hiera.blocks_per_stage) == SIZES[size]
    assert config.enable_occlusion_spatial_embedding == file.startswith("sam2.1")
    with torch.device("meta"):
        model = transformers.Sam2VideoModel(config)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert {name: tuple(tensor.shape) for name, tensor in sam2_names.rename(tensors).items()} == expected


@pytest.mark.parametrize("file", GROUNDING_DINO)
def test_every_grounding_dino_file_fits_its_model(file: str) -> None:
    tensors = tensors_of(file)
    config = grounding_dino_names.configuration(tensors, file)
    renamed = grounding_dino_names.rename(tensors)
    _, report = transformers.GroundingDinoForObjectDetection.from_pretrained(
        None, config=config, state_dict=renamed, output_loading_info=True
    )
    # The index is computed, and listed by some releases.
    assert [name for name in report["missing_keys"] if not name.endswith("relative_position_index")] == []
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        ("image_encoder.trunk.blocks.3.mlp.layers.1.bias", "vision_encoder.backbone.blocks.3.mlp.proj_out.bias"),
        ("image_encoder.neck.convs.2.conv.weight", "vision_encoder.neck.convs.2.weight"),
        ("memory_attention.layers.1.norm3.weight", "memory_attention.layers.1.layer_norm3.weight"),
        ("memory_encoder.mask_downsampler.encoder.7.bias", "memory_encoder.mask_downsampler.layers.2.layer_norm.bias"),
        ("memory_encoder.mask_downsampler.encoder.12.bias", "memory_encoder.mask_downsampler.final_conv.bias"),
        ("memory_encoder.fuser.layers.1.gamma", "memory_encoder.memory_fuser.layers.1.scale"),
        ("sam_prompt_encoder.mask_downscaling.4.weight", "prompt_encoder.mask_embed.layer_norm2.weight"),
        ("sam_mask_decoder.output_upscaling.3.weight", "mask_decoder.upscale_conv2.weight"),
        (
            "sam_mask_decoder.output_hypernetworks_mlps.2.layers.1.weight",
            "mask_decoder.output_hypernetworks_mlps.2.layers.0.weight",
        ),
        (
            "sam_mask_decoder.transformer.layers.1.cross_attn_image_to_token.out_proj.weight",
            "mask_decoder.transformer.layers.1.cross_attn_image_to_token.o_proj.weight",
        ),
        ("sam_mask_decoder.iou_prediction_head.layers.2.bias", "mask_decoder.iou_prediction_head.proj_out.bias"),
        ("obj_ptr_proj.layers.0.bias", "object_pointer_proj.proj_in.bias"),
    ],
)
def test_a_sam2_tensor_keeps_its_values(original: str, expected: str) -> None:
    tensors = tensors_of("sam2.1_hiera_tiny.pt")
    assert torch.equal(sam2_names.rename(tensors)[expected], tensors[original])


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        (
            "transformer.encoder.fusion_layers.3.attn.values_l_proj.weight",
            "model.encoder.layers.3.fusion_layer.attn.values_text_proj.weight",
        ),
        ("transformer.encoder.fusion_layers.0.gamma_v", "model.encoder.layers.0.fusion_layer.vision_param"),
        (
            "transformer.encoder.fusion_layers.2.layer_norm_l.bias",
            "model.encoder.layers.2.fusion_layer.layer_norm_text.bias",
        ),
        (
            "transformer.encoder.layers.5.norm1.weight",
            "model.encoder.layers.5.deformable_layer.self_attn_layer_norm.weight",
        ),
        ("transformer.encoder.text_layers.1.linear2.bias", "model.encoder.layers.1.text_enhancer_layer.fc2.bias"),
        ("transformer.decoder.layers.4.norm2.weight", "model.decoder.layers.4.self_attn_layer_norm.weight"),
        ("transformer.decoder.layers.4.norm1.weight", "model.decoder.layers.4.encoder_attn_layer_norm.weight"),
        (
            "transformer.decoder.layers.4.catext_norm.weight",
            "model.decoder.layers.4.encoder_attn_text_layer_norm.weight",
        ),
        (
            "transformer.decoder.layers.2.cross_attn.value_proj.bias",
            "model.decoder.layers.2.encoder_attn.value_proj.bias",
        ),
        ("transformer.decoder.norm.weight", "model.decoder.layer_norm.weight"),
        ("transformer.enc_out_bbox_embed.layers.1.bias", "model.encoder_output_bbox_embed.layers.1.bias"),
        ("backbone.0.norm2.weight", "model.backbone.conv_encoder.model.hidden_states_norms.stage3.weight"),
        (
            "backbone.0.layers.2.blocks.5.mlp.fc1.weight",
            "model.backbone.conv_encoder.model.encoder.layers.2.blocks.5.intermediate.dense.weight",
        ),
        ("bert.encoder.layer.7.output.LayerNorm.bias", "model.text_backbone.encoder.layer.7.output.LayerNorm.bias"),
        ("feat_map.weight", "model.text_projection.weight"),
    ],
)
def test_a_grounding_dino_tensor_keeps_its_values(original: str, expected: str) -> None:
    tensors = tensors_of("groundingdino_swint_ogc.pth")
    assert torch.equal(grounding_dino_names.rename(tensors)[expected], tensors[original])


def test_joint_projections_are_split_in_the_order_query_key_value() -> None:
    weight = torch.arange(9.0)[:, None].expand(9, 3)
    names = {
        "backbone.0.layers.0.blocks.0.attn.qkv.weight": (
            "model.backbone.conv_encoder.model.encoder.layers.0.blocks.0.attention.self.{}.weight"
        ),
        "transformer.decoder.layers.0.ca_text.in_proj_weight": "model.decoder.layers.0.encoder_attn_text.{}.weight",
        "transformer.encoder.text_layers.0.self_attn.in_proj_weight": (
            "model.encoder.layers.0.text_enhancer_layer.self_attn.{}.weight"
        ),
    }
    for original, expected in names.items():
        renamed = grounding_dino_names.rename({original: weight})
        first = {part: renamed[expected.format(part)][0, 0].item() for part in ("query", "key", "value")}
        assert first == {"query": 0, "key": 3, "value": 6}


def test_point_embeddings_are_joined_in_order() -> None:
    names = [f"sam_prompt_encoder.point_embeddings.{k}.weight" for k in (2, 0, 3, 1)]
    renamed = sam2_names.rename({name: torch.full((1, 4), float(name[-8])) for name in names})
    assert renamed["prompt_encoder.point_embed.weight"][:, 0].tolist() == [0, 1, 2, 3]


def original_sam2(folder: Path) -> dict[str, Tensor]:
    """A folder's tensors under the original names: the way back, written from the original's modules."""
    to = [
        ("vision_encoder.backbone.", "image_encoder.trunk."),
        ("vision_encoder.neck.convs.0.", "image_encoder.neck.convs.0.conv."),
        ("vision_encoder.neck.convs.1.", "image_encoder.neck.convs.1.conv."),
        ("vision_encoder.neck.convs.2.", "image_encoder.neck.convs.2.conv."),
        ("vision_encoder.neck.convs.3.", "image_encoder.neck.convs.3.conv."),
        ("patch_embed.projection", "patch_embed.proj"),
        (
            "prompt_encoder.shared_embedding.positional_embedding",
            "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        ),
        ("prompt_encoder.mask_embed.conv1", "prompt_encoder.mask_downscaling.0"),
        ("prompt_encoder.mask_embed.layer_norm1", "prompt_encoder.mask_downscaling.1"),
        ("prompt_encoder.mask_embed.conv2", "prompt_encoder.mask_downscaling.3"),
        ("prompt_encoder.mask_embed.layer_norm2", "prompt_encoder.mask_downscaling.4"),
        ("prompt_encoder.mask_embed.conv3", "prompt_encoder.mask_downscaling.6"),
        ("mask_decoder.upscale_conv1", "mask_decoder.output_upscaling.0"),
        ("mask_decoder.upscale_layer_norm", "mask_decoder.output_upscaling.1"),
        ("mask_decoder.upscale_conv2", "mask_decoder.output_upscaling.3"),
        ("memory_encoder.projection", "memory_encoder.out_proj"),
        ("memory_encoder.feature_projection", "memory_encoder.pix_feat_proj"),
        ("memory_fuser", "fuser"),
        (".scale", ".gamma"),
        ("depthwise_conv", "dwconv"),
        ("pointwise_conv", "pwconv"),
        ("memory_temporal_positional_encoding", "maskmem_tpos_enc"),
        ("no_memory_embedding", "no_mem_embed"),
        ("no_memory_positional_encoding", "no_mem_pos_enc"),
        ("no_object_pointer", "no_obj_ptr"),
        ("occlusion_spatial_embedding_parameter", "no_obj_embed_spatial"),
        ("object_pointer_proj", "obj_ptr_proj"),
        ("temporal_positional_encoding_projection_layer", "obj_ptr_tpos_proj"),
        (".layer_norm", ".norm"),
        (".o_proj.", ".out_proj."),
    ]
    back = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        two_layers = ".mlp.proj" in name
        for k in range(4):
            name = name.replace(f"mask_downsampler.layers.{k}.conv.", f"mask_downsampler.encoder.{3 * k}.")
            name = name.replace(f"mask_downsampler.layers.{k}.layer_norm.", f"mask_downsampler.encoder.{3 * k + 1}.")
        name = name.replace("mask_downsampler.final_conv.", "mask_downsampler.encoder.12.")
        if any(head in name for head in ("hypernetworks", "prediction_head", "score_head", "object_pointer_proj")):
            name = name.replace("layers.0", "layers.1")
        for new, old in to:
            name = name.replace(new, old)
        name = name.replace("proj_in", "layers.0").replace("proj_out", "layers.1" if two_layers else "layers.2")
        if name.startswith(("prompt_encoder", "mask_decoder")):
            name = f"sam_{name}"
        back[name] = tensor.float()
    back.pop("shared_image_embedding.positional_embedding")
    points = back.pop("sam_prompt_encoder.point_embed.weight")
    return back | {f"sam_prompt_encoder.point_embeddings.{k}.weight": points[k : k + 1] for k in range(4)}


def test_original_tensors_come_back_as_they_were() -> None:
    original = original_sam2(SEGMENTER)
    # Proof that the way back leads to the original's names: all are published ones, but for the numbers of layers.
    published = {re.sub(r"\d+", "0", name) for name in ORIGINALS["sam2.1_hiera_tiny.pt"]}
    assert {re.sub(r"\d+", "0", name) for name in original} == published
    renamed = sam2_names.rename(original)
    expected = load_file(SEGMENTER / "model.safetensors")
    assert set(renamed) == set(expected)
    assert all(torch.equal(renamed[name], tensor.float()) for name, tensor in expected.items())


def original_grounding_dino(folder: Path) -> dict[str, Tensor]:
    """A folder's tensors under the original names: the way back, written from the original's modules."""
    to = [
        (r"^model\.backbone\.conv_encoder\.model\.", "backbone.0."),
        (r"embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
        (r"^backbone\.0\.embeddings\.norm", "backbone.0.patch_embed.norm"),
        (r"hidden_states_norms\.stage3", "norm2"),
        (r"hidden_states_norms\.stage2", "norm1"),
        (r"^backbone\.0\.encoder\.", "backbone.0."),
        (r"layernorm_before", "norm1"),
        (r"layernorm_after", "norm2"),
        (r"attention\.self\.relative", "attn.relative"),
        (r"(blocks\.\d+)\.attention\.output\.dense", r"\1.attn.proj"),
        (r"(blocks\.\d+)\.intermediate\.dense", r"\1.mlp.fc1"),
        (r"(blocks\.\d+)\.output\.dense", r"\1.mlp.fc2"),
        (r"^model\.text_backbone\.", "bert."),
        (r"^model\.text_projection\.", "feat_map."),
        (r"^model\.input_proj_vision\.", "input_proj."),
        (r"^model\.encoder_output_bbox_embed\.", "transformer.enc_out_bbox_embed."),
        (r"^model\.query_position_embeddings\.", "transformer.tgt_embed."),
        (r"^model\.decoder\.reference_points_head\.", "transformer.decoder.ref_point_head."),
        (r"^model\.decoder\.layer_norm\.", "transformer.decoder.norm."),
        (r"^model\.encoder\.layers\.(\d+)\.fusion_layer", r"transformer.encoder.fusion_layers.\1"),
        (r"^model\.encoder\.layers\.(\d+)\.text_enhancer_layer", r"transformer.encoder.text_layers.\1"),
        (r"^model\.encoder\.layers\.(\d+)\.deformable_layer", r"transformer.encoder.layers.\1"),
        (r"^model\.", "transformer."),
        (r"vision_param$", "gamma_v"),
        (r"text_param$", "gamma_l"),
        (r"layer_norm_vision", "layer_norm_v"),
        (r"layer_norm_text\.", "layer_norm_l."),
        (r"(attn\.\w*)vision_proj", r"\1v_proj"),
        (r"(attn\.\w*)text_proj", r"\1l_proj"),
        (r"(text_layers\.\d+)\.layer_norm_before", r"\1.norm1"),
        (r"(text_layers\.\d+)\.layer_norm_after", r"\1.norm2"),
        (r"(encoder\.layers\.\d+)\.self_attn_layer_norm", r"\1.norm1"),
        (r"(encoder\.layers\.\d+)\.final_layer_norm", r"\1.norm2"),
        (r"encoder_attn_text_layer_norm", "catext_norm"),
        (r"encoder_attn_layer_norm", "norm1"),
        (r"(decoder\.layers\.\d+)\.self_attn_layer_norm", r"\1.norm2"),
        (r"(decoder\.layers\.\d+)\.final_layer_norm", r"\1.norm3"),
        (r"encoder_attn_text\.", "ca_text."),
        (r"encoder_attn\.", "cross_attn."),
        (r"(layers\.\d+)\.fc(\d)\.", r"\1.linear\2."),
    ]
    back: dict[str, Tensor] = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        if "swin.layernorm" in name:
            continue  # a part of the library's that no detector uses
        part = re.search(r"\.(query|key|value)\.(weight|bias)$", name)
        for pattern, old in to:
            name = re.sub(pattern, old, name)
        if part and not name.startswith("bert."):
            joint = "attn.qkv.{}" if name.startswith("backbone.") else "in_proj_{}"
            name = re.sub(r"(attention\.self\.)?(query|key|value)\.\w+$", joint.format(part[2]), name)
            back.setdefault(name, torch.zeros(0))
        place = {"query": 0, "key": 1, "value": 2}[part[1]] if part and name in back else None
        back[name] = tensor.float() if place is None else _with_part(back[name], tensor.float(), place)
    for name in [name for name in back if name.startswith("transformer.decoder.bbox_embed.")]:
        back[name.removeprefix("transformer.decoder.")] = back[name]
    return back


def _with_part(joint: Tensor, tensor: Tensor, place: int) -> Tensor:
    """Three tensors joined, of which one is put into its place."""
    whole = joint if joint.numel() else torch.zeros(3 * len(tensor), *tensor.shape[1:])
    whole[place * len(tensor) : (place + 1) * len(tensor)] = tensor
    return whole


def small_instead_of_known_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files of the fixtures' size count as known ones; all else is as for real checkpoints."""
    configs = {
        grounding_dino_names: transformers.GroundingDinoConfig.from_pretrained(DETECTOR),
        sam2_names: transformers.Sam2VideoConfig.from_pretrained(SEGMENTER),
    }
    for module, config in configs.items():
        monkeypatch.setattr(module, "configuration", lambda *_, config=config: config)
    monkeypatch.setattr(model_files, "_DEFAULT_SIZE", (96, 192))


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_an_original_detector_finds_what_its_folder_finds(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_instead_of_known_sizes(monkeypatch)
    original = original_grounding_dino(DETECTOR)
    published = {re.sub(r"\d+", "0", name.removeprefix("module.")) for name in ORIGINALS["groundingdino_swint_ogc.pth"]}
    assert {re.sub(r"\d+", "0", name) for name in original} <= published
    weights = {f"module.{name}": tensor.clone() for name, tensor in original.items()}
    path = tmp_path / f"groundingdino{ending}"
    if ending == ".pth":
        torch.save({"model": weights | {"module.label_enc.weight": torch.zeros(3, 4)}}, path)
    else:
        save_file(weights, path)
    shutil.copyfile(DETECTOR / "tokenizer.json", tmp_path / "tokenizer.json")
    shown = scene(31)
    mine = load_detector(path)(shown.frames[0], shown.names)
    for one, expected in zip(mine, detector()(shown.frames[0], shown.names), strict=True):
        torch.testing.assert_close(one.boxes, expected.boxes)
        torch.testing.assert_close(one.scores, expected.scores)


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_an_original_segmenter_masks_and_tracks_as_its_folder_does(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_instead_of_known_sizes(monkeypatch)
    original = original_sam2(SEGMENTER)
    path = tmp_path / f"sam2{ending}"
    if ending == ".pt":
        torch.save({"model": original}, path)
    else:
        # Half precision, as in the re-packs people share.
        save_file({name: tensor.half().contiguous().clone() for name, tensor in original.items()}, path)
    mine, shown = load_segmenter(path), scene(32, frames=3)
    boxes = boxes_of(shown.masks[:, 0])
    torch.testing.assert_close(mine(shown.frames[0], boxes=boxes), segmenter()(shown.frames[0], boxes=boxes))
    tracked = [list(one.track(shown.frames, shown.masks[:, 0] > 0.5)) for one in (mine, segmenter())]
    for logits, expected in zip(*tracked, strict=True):
        torch.testing.assert_close(logits, expected)


def test_weights_missing(tmp_path: Path) -> None:
    path = tmp_path / "groundingdino_swint_ogc.pth"
    with pytest.raises(MIVAError) as caught:
        load_detector(path)
    assert str(caught.value) == (
        f"Grounding DINO weights not found: {path}. Put an HF folder (config.json, model.safetensors, tokenizer.json) "
        "or groundingdino_swint_ogc.pth into ComfyUI/models/grounding-dino."
    )
    with pytest.raises(MIVAError, match=r"sam2.1_hiera_tiny.pt into ComfyUI/models/sam2"):
        load_segmenter(tmp_path / "sam2.pt")


def test_another_kind_of_folder(tmp_path: Path) -> None:
    transformers.SwinModel(
        transformers.SwinConfig(image_size=32, embed_dim=8, depths=[1], num_heads=[1])
    ).save_pretrained(tmp_path / "swin")
    with pytest.raises(MIVAError) as caught:
        load_detector(tmp_path / "swin")
    assert str(caught.value) == f"{tmp_path / 'swin'} is a 'swin' model, not Grounding DINO."
    with pytest.raises(MIVAError, match="'grounding-dino' model, not SAM 2"):
        load_segmenter(DETECTOR)
    (tmp_path / "swin" / "config.json").write_text("{}")
    with pytest.raises(MIVAError, match=r"config.json does not tell"):
        load_detector(tmp_path / "swin")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MIVAError, match=r"holds no config.json"):
        load_segmenter(tmp_path / "empty")


def test_another_kind_of_file(tmp_path: Path) -> None:
    first = {f"{name}.weight": torch.zeros(2) for name in ("image_encoder.patch_embed.proj", "mask_decoder.iou_token")}
    save_file(first, tmp_path / "sam.safetensors")
    with pytest.raises(MIVAError, match="the first SAM"):
        load_segmenter(tmp_path / "sam.safetensors")
    shutil.copy(SEGMENTER / "model.safetensors", tmp_path / "alone.safetensors")
    with pytest.raises(MIVAError, match="transformers layout, not Grounding DINO"):
        load_detector(tmp_path / "alone.safetensors")
    with pytest.raises(MIVAError, match=r"call it model.safetensors"):
        load_segmenter(tmp_path / "alone.safetensors")


class _Evil:
    def __reduce__(self) -> tuple:
        return os.system, ("touch evil",)


@pytest.mark.parametrize("content", ["pickle", "html", "lfs"])
def test_not_a_plain_weight_file(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "groundingdino_swint_ogc.pth"
    if content == "pickle":
        torch.save({"model": _Evil()}, path)
    elif content == "html":
        path.write_text("<!doctype html><html><body>Not found</body></html>")
    else:
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 693997677\n")
    with pytest.raises(MIVAError) as caught:
        load_detector(path)
    assert str(caught.value) == (
        "groundingdino_swint_ogc.pth is not a plain weight file (it holds pickled code or is a web page / git-lfs "
        "pointer); nothing from it was executed."
    )
    assert not (tmp_path / "evil").exists()


def test_a_program_is_not_a_plain_weight_file(tmp_path: Path) -> None:
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(tmp_path / "sam2.pt"))
    with pytest.raises(MIVAError, match=r"sam2.pt is not a plain"):
        load_segmenter(tmp_path / "sam2.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_model": "abc"}, r"is damaged, incomplete or of other sizes than its model: get it again.$"),
        ({"text_config": []}, r"is damaged, incomplete or of other sizes than its model: get it again.$"),
        (
            {"backbone": "someone/else", "use_pretrained_backbone": True},
            r"config.json asks for backbone, which the folder does not hold: get Grounding DINO without it.$",
        ),
        (
            {"auto_map": {"AutoModel": "evil.Model"}},
            r"config.json asks for auto_map, which the folder does not hold: get Grounding DINO without it.$",
        ),
    ],
)
def test_strange_configurations(change: dict, message: str, tmp_path: Path) -> None:
    shutil.copytree(DETECTOR, tmp_path / "folder", copy_function=shutil.copyfile)
    config = json.loads((DETECTOR / "config.json").read_text("utf-8"))
    (tmp_path / "folder" / "config.json").write_text(json.dumps(config | change), "utf-8")
    with pytest.raises(MIVAError, match=message):
        load_detector(tmp_path / "folder")


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"image_processor": []}', '{"size": {"shortest_edge": "a", "longest_edge": 2}}']
)
def test_damaged_sizes_of_pictures(content: str, tmp_path: Path) -> None:
    shutil.copytree(DETECTOR, tmp_path / "folder", copy_function=shutil.copyfile)
    (tmp_path / "folder" / "processor_config.json").write_text(content, "utf-8")
    with pytest.raises(MIVAError, match=r"processor_config.json is damaged"):
        load_detector(tmp_path / "folder")


def test_truncated_files(tmp_path: Path) -> None:
    torch.save({"model": original_sam2(SEGMENTER)}, tmp_path / "sam2.pt")
    whole = (tmp_path / "sam2.pt").read_bytes()
    (tmp_path / "sam2.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MIVAError, match=r"truncated file: .*SAM 2"):
        load_segmenter(tmp_path / "sam2.pt")
    shutil.copytree(SEGMENTER, tmp_path / "folder", copy_function=shutil.copyfile)
    weights = tmp_path / "folder" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])
    with pytest.raises(MIVAError, match=r"model\.safetensors is a truncated"):
        load_segmenter(tmp_path / "folder")


def copied_segmenter(folder: Path, **changes: Any) -> Path:
    """The small SAM 2 with other entries of its configuration, or of its decoder's."""
    shutil.copytree(SEGMENTER, folder, copy_function=shutil.copyfile)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


def test_a_configuration_that_asks_for_more_than_its_file_holds(tmp_path: Path) -> None:
    decoder = json.loads((SEGMENTER / "config.json").read_text())["mask_decoder_config"]
    folder = copied_segmenter(tmp_path / "sam2", mask_decoder_config=decoder | {"mlp_dim": 10**9})
    with pytest.raises(MIVAError, match="of other sizes"):  # 1 TB
        load_segmenter(folder)


def test_a_configuration_nested_beyond_reason(tmp_path: Path) -> None:
    folder = copied_segmenter(tmp_path / "sam2")
    (folder / "config.json").write_text('{"a":' * 100_000 + "1" + "}" * 100_000)
    with pytest.raises(MIVAError, match=r"config\.json is damaged"):
        load_segmenter(folder)


def test_weights_in_parts_lie_in_their_folder(tmp_path: Path) -> None:
    folder = copied_segmenter(tmp_path / "sam2")
    weights = folder / "model.safetensors"
    names = load_file(weights)
    weights.rename(folder / "part.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, "part.safetensors")}))
    load_segmenter(folder)
    (folder / "part.safetensors").rename(tmp_path / "part.safetensors")
    with pytest.raises(MIVAError, match=r"part\.safetensors is not there"):
        load_segmenter(folder)
    for elsewhere in ("../part.safetensors", str(tmp_path / "part.safetensors"), 5):
        index.write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, elsewhere)}))
        with pytest.raises(MIVAError, match="files outside of its folder"):
            load_segmenter(folder)


@pytest.mark.parametrize("shape", [(), (16,)], ids=["a number", "too short"])
def test_tensors_of_other_dimensions(tmp_path: Path, shape: tuple[int, ...]) -> None:
    tensors = original_sam2(SEGMENTER)
    tensors[sam2_names.MARK] = torch.zeros(shape)
    torch.save({"model": tensors}, tmp_path / "sam2.pt")
    with pytest.raises(MIVAError, match=r"incomplete|not a known SAM 2"):
        load_segmenter(tmp_path / "sam2.pt")


def test_unknown_size(tmp_path: Path) -> None:
    torch.save({"model": original_sam2(SEGMENTER)}, tmp_path / "sam2_nano.pt")
    with pytest.raises(MIVAError) as caught:
        load_segmenter(tmp_path / "sam2_nano.pt")
    assert str(caught.value) == "sam2_nano.pt is not a known SAM 2 image encoder: width 16, 5 blocks."


def test_missing_weights(tmp_path: Path) -> None:
    shutil.copytree(SEGMENTER, tmp_path / "folder", copy_function=shutil.copyfile)
    weights = tmp_path / "folder" / "model.safetensors"
    tensors = load_file(weights)
    lacking = [name for name in tensors if name.startswith("mask_decoder.iou_prediction_head")]
    save_file({name: tensor for name, tensor in tensors.items() if name not in lacking}, weights)
    with pytest.raises(MIVAError) as caught:
        load_segmenter(tmp_path / "folder")
    assert str(caught.value) == (
        f"{len(lacking)} weights are missing from {tmp_path / 'folder'}, e.g. {min(lacking)}: get it again."
    )


def test_no_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "groundingdino_swint_ogc.pth"
    torch.save({"model": {"transformer.level_embed": torch.zeros(1)}}, path)
    with pytest.raises(MIVAError) as caught:
        load_detector(path)
    assert str(caught.value) == (
        "groundingdino_swint_ogc.pth has no vocabulary. Put bert-base-uncased's vocab.txt (or tokenizer.json) into "
        "models/bert-base-uncased or beside the file."
    )


def test_a_vocabulary_is_found_where_people_put_it(tmp_path: Path) -> None:
    tokenizer = json.loads((DETECTOR / "tokenizer.json").read_text("utf-8"))
    words = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    for place in (
        "grounding-dino/vocab.txt",
        "bert-base-uncased/vocab.txt",
        "grounding-dino/bert-base-uncased/vocab.txt",
    ):
        models = tmp_path / place.replace("/", "_")
        path = models / "grounding-dino" / "model.pth"
        (models / place).parent.mkdir(parents=True)
        path.parent.mkdir(exist_ok=True)
        (models / place).write_text("\n".join(words), "utf-8")
        torch.save({"model": {"transformer.level_embed": torch.zeros(1)}}, path)
        # It goes on to the next thing that is wrong.
        with pytest.raises(MIVAError, match="Grounding DINO: width None"):
            load_detector(path)
    with pytest.raises(MIVAError, match=r"no vocabulary .*nowhere.txt"):
        load_detector(path, models / "nowhere.txt")
    with pytest.raises(MIVAError, match="not a known Grounding DINO"):
        load_detector(path, (models / place).parent)
    (models / place).write_text("\n".join(reversed(words)), "utf-8")
    with pytest.raises(MIVAError, match="another vocabulary"):
        load_detector(path)


def test_old_transformers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers, "__version__", "4.55.0")
    with pytest.raises(MIVAError) as caught:
        load_segmenter(SEGMENTER)
    assert str(caught.value) == "transformers 4.55.0 has no SAM 2; update to 4.57.6 or newer."
    for release in ("4.56.2", "4.57.5", "5.0.0"):
        monkeypatch.setattr(transformers, "__version__", release)
        with pytest.raises(MIVAError) as caught:
            load_detector(DETECTOR)
        assert str(caught.value) == (
            f"transformers {release} is not known to run SAM 2 rightly; take 4.57.6, or 5.23 or newer."
        )


def test_half_precision_files_are_read_as_float32() -> None:
    assert {tensor.dtype for tensor in load_file(SEGMENTER / "model.safetensors").values()} == {torch.float16}
    assert {parameter.dtype for parameter in load_segmenter(SEGMENTER).model.parameters()} == {torch.float32}
