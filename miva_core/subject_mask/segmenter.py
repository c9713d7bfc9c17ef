"""SAM 2: masks from boxes, points or rough masks, and masks tracked through a clip."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..errors import MIVAError
from .images import image_processor, to_planes

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Sam2VideoInferenceSession, Sam2VideoProcessor

# Logits of a mask that is given: outside -10, inside +10.
_SURE = 10.0
ON, OFF = 1, 0
"""Labels of points on the subject and beside it."""
Point = tuple[float, float, int]
"""x, y in pixels, and a label."""


class Segmenter:
    """SAM 2, see `load_segmenter`."""

    def __init__(
        self, model: "PreTrainedModel", load_video: "Callable[[], PreTrainedModel] | None", several: bool, name: str
    ) -> None:
        """
        Args:
            model: for pictures, a Sam2Model.
            load_video: gives the Sam2VideoModel of the same weights; None where they cannot track.
            several: whether the model was trained to offer several masks for a single point.
            name: of its file, for messages.
        """
        self.model, self._load_video, self._several, self._name = model, load_video, several, name
        self._side = model.config.prompt_encoder_config.image_size

    @torch.no_grad()
    def __call__(
        self,
        picture: Tensor,
        boxes: Tensor | None = None,
        points: Sequence[Sequence[Point]] | None = None,
        rough: Tensor | None = None,
    ) -> Tensor:
        """Masks of N things in a picture, each from a box, points, a rough mask, or several of these.

        Args:
            picture: (H, W, 3) in [0, 1].
            boxes: (N, 4) corners in pixels.
            points: N lists of (x, y, ON or OFF) in pixels.
            rough: (N, H, W), of which more than 0.5 is the thing.

        Returns:
            Logits (N, H, W) on the CPU, above 0 on the thing.
        """
        features = self.model.get_image_embeddings(self._pixels(picture))
        count = next(len(given) for given in (boxes, points, rough) if given is not None)
        # One by one, since things may have different numbers of points.
        found = [
            self._one(
                features,
                picture,
                None if boxes is None else boxes[k],
                None if points is None else points[k],
                None if rough is None else rough[k],
            )
            for k in range(count)
        ]
        return _scaled_up(torch.cat(found), picture)

    def track(self, frames: Sequence[Tensor], masks: Tensor) -> Iterator[Tensor]:
        """Follow N things through a clip, from their masks in its first frame.

        Memory does not grow with the clip: a frame is forgotten when no later one looks back to it.

        Args:
            frames: F times (H, W, 3) in [0, 1].
            masks: (N, H, W) bool, none of them empty.

        Yields:
            Logits (N, H, W) on the CPU for each frame after the first.

        Raises:
            MIVAError: the weights cannot track.
        """
        model, processor = self._video, self._processor
        session = processor.init_video_session(
            inference_device=model.device, inference_state_device="cpu", video_storage_device="cpu", dtype=torch.float32
        )
        # Frames come one by one, but the model weighs what it has seen by how many there are.
        session.processed_frames = dict.fromkeys(range(len(frames)))
        for k, frame in enumerate(frames):
            session.add_new_frame(self._pixels(frame), k)
            if k == 0:
                for n, mask in enumerate(masks):
                    # Each thing is looked at before the next one is added, which all releases can do.
                    processor.add_inputs_to_inference_session(session, frame_idx=0, obj_ids=n, input_masks=[mask])
                    model(session, frame_idx=0)
            else:
                yield _scaled_up(model(session, frame_idx=k).pred_masks, frame)
                self._forget(session, k)

    def _one(
        self,
        features: list[Tensor],
        picture: Tensor,
        box: Tensor | None,
        points: Sequence[Point] | None,
        rough: Tensor | None,
    ) -> Tensor:
        """Small logits (1, 1, h, w) of one thing; arguments as of all."""
        prompts = {}
        if box is not None:
            prompts["input_boxes"] = self._scaled(box, picture)[None, None]
        if points is not None:
            places = torch.tensor([point[:2] for point in points])
            prompts["input_points"] = self._scaled(places, picture)[None, None]
            prompts["input_labels"] = torch.tensor([[[point[2] for point in points]]])
        if rough is not None:
            side = self._side // 4
            small = F.interpolate((rough > 0.5).float()[None, None], (side, side), mode="bilinear", antialias=True)
            prompts["input_masks"] = ((small > 0.5).float() * 2 - 1) * _SURE
        # A single point may mean a thing or a part of it: of several masks the best is taken.
        several = self._several and points is not None and len(prompts["input_points"][0, 0]) == 1 and box is None
        found = self.model(
            image_embeddings=features,
            multimask_output=several,
            **{name: prompt.to(self.model.device) for name, prompt in prompts.items()},
        )
        return found.pred_masks[:, 0, found.iou_scores[0, 0].argmax()][:, None]

    def with_tracker(self) -> nn.Module:
        """All that takes memory when a clip is followed; what tracks is loaded now, not with the first clip.

        Raises:
            MIVAError: the weights cannot track.
        """
        return nn.ModuleList([self.model, self._video])

    @cached_property
    def _video(self) -> "PreTrainedModel":
        if self._load_video is None:
            raise MIVAError(
                f"{self._name} holds SAM 2 for pictures alone, which cannot track: find the subjects in every frame, "
                "or get the folder whose config.json says sam2_video."
            )
        model, self._load_video = self._load_video(), None
        # By far most of the weights, and the same ones.
        model.vision_encoder = self.model.vision_encoder
        return model.to(self.model.device)

    @cached_property
    def _processor(self) -> "Sam2VideoProcessor":
        import transformers

        # Only its session is used; pictures are prepared by its part for pictures.
        return transformers.Sam2VideoProcessor(self._prepare, transformers.Sam2VideoVideoProcessor())

    @cached_property
    def _prepare(self) -> "Callable":
        return image_processor("sam2", "Sam2ImageProcessor")(size={"height": self._side, "width": self._side})

    def _pixels(self, picture: Tensor) -> Tensor:
        """(1, 3, side, side), normalised."""
        prepared = self._prepare(images=[to_planes(picture)], return_tensors="pt")
        return prepared["pixel_values"].to(self.model.device)

    def _scaled(self, places: Tensor, picture: Tensor) -> Tensor:
        """Places (…, 2n) of x and y in the picture as places in what the model sees."""
        height, width = picture.shape[:2]
        scale = torch.tensor([self._side / width, self._side / height]).repeat(places.shape[-1] // 2)
        return places.float() * scale

    def _forget(self, session: "Sam2VideoInferenceSession", frame: int) -> None:
        """Drop what no later frame looks at: pictures, full masks, and memories that are too old."""
        config = self._video.config
        oldest = frame - max(config.num_maskmem, config.max_object_pointers_in_encoder)
        session.processed_frames[frame - 1] = None
        for outputs in session.output_dict_per_obj.values():
            tracked = outputs["non_cond_frame_outputs"]
            tracked.pop(oldest, None)
            if frame in tracked:
                tracked[frame]["high_res_masks"] = tracked[frame]["pred_masks"] = None


def _scaled_up(logits: Tensor, picture: Tensor) -> Tensor:
    """(N, 1, h, w) as (N, H, W) on the CPU."""
    full = F.interpolate(logits.float().cpu(), tuple(picture.shape[:2]), mode="bilinear", align_corners=False)
    return rearrange(full, "n 1 h w -> n h w")
