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
    from transformers import BaseImageProcessor, PreTrainedModel, Sam2VideoInferenceSession, Sam2VideoProcessor

_PROMPT_LOGIT = 10.0
"""Logit inside a mask that is a prompt; outside it is the negative."""
ON, OFF = 1, 0
"""Labels of points on and off the subject."""
Point = tuple[float, float, int]
"""x and y in pixels, and the label ON or OFF."""


class Segmenter:
    """SAM 2 for pictures and, where its weights can track, for clips; see `load_segmenter`.

    Args:
        model: a Sam2Model, for pictures.
        load_video: loads the Sam2VideoModel of the same weights; None where they cannot track.
        multimask: whether the model was trained to offer several masks for a single point.
        name: of its file, for messages.
    """

    def __init__(
        self, model: "PreTrainedModel", load_video: "Callable[[], PreTrainedModel] | None", multimask: bool, name: str
    ) -> None:
        self.model, self._load_video, self._multimask, self._name = model, load_video, multimask, name
        self._side = model.config.prompt_encoder_config.image_size

    @torch.no_grad()
    def __call__(
        self,
        picture: Tensor,
        boxes: Tensor | None = None,
        points: Sequence[Sequence[Point]] | None = None,
        rough: Tensor | None = None,
    ) -> Tensor:
        """Segment N objects in a picture, each from a box, points, a rough mask, or several of these.

        Args:
            picture: (H, W, 3) in [0, 1].
            boxes: (N, 4) corners in pixels.
            points: N lists of (x, y, ON or OFF) in pixels.
            rough: (N, H, W), above 0.5 on the object.

        Returns:
            Logits (N, H, W) on the CPU, above 0 on the object.
        """
        features = self.model.get_image_embeddings(self._pixels(picture))
        count = next(len(prompts) for prompts in (boxes, points, rough) if prompts is not None)
        # One by one, since objects may have different numbers of points.
        logits = [
            self._segment_one(
                features,
                picture,
                None if boxes is None else boxes[k],
                None if points is None else points[k],
                None if rough is None else rough[k],
            )
            for k in range(count)
        ]
        return _upscale(torch.cat(logits), picture)

    def track(self, frames: Sequence[Tensor], masks: Tensor) -> Iterator[Tensor]:
        """Track N objects through a clip, from their masks in its first frame.

        Memory does not grow with the clip: a frame is forgotten when no later one looks back to it.

        Args:
            frames: F frames (H, W, 3) in [0, 1].
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
        # Frames come one by one, but the model's attention to past frames depends on how many there are in all.
        session.processed_frames = dict.fromkeys(range(len(frames)))
        for k, frame in enumerate(frames):
            session.add_new_frame(self._pixels(frame), k)
            if k == 0:
                for n, mask in enumerate(masks):
                    # The model runs on each object before the next is added, which all releases can do.
                    processor.add_inputs_to_inference_session(session, frame_idx=0, obj_ids=n, input_masks=[mask])
                    model(session, frame_idx=0)
            else:
                yield _upscale(model(session, frame_idx=k).pred_masks, frame)
                self._forget(session, k)

    def _segment_one(
        self,
        features: list[Tensor],
        picture: Tensor,
        box: Tensor | None,
        points: Sequence[Point] | None,
        rough: Tensor | None,
    ) -> Tensor:
        """Compute low-resolution logits (1, 1, h, w) of one object."""
        prompts: dict[str, Tensor] = {}
        if box is not None:
            prompts["input_boxes"] = self._scaled(box, picture)[None, None]
        if points is not None:
            places = torch.tensor([point[:2] for point in points])
            prompts["input_points"] = self._scaled(places, picture)[None, None]
            prompts["input_labels"] = torch.tensor([[[point[2] for point in points]]])
        if rough is not None:
            side = self._side // 4
            small = F.interpolate((rough > 0.5).float()[None, None], (side, side), mode="bilinear", antialias=True)
            prompts["input_masks"] = ((small > 0.5).float() * 2 - 1) * _PROMPT_LOGIT
        # A single point may mean an object or a part of it: the best of several masks is taken.
        multimask = self._multimask and points is not None and len(points) == 1 and box is None
        output = self.model(
            image_embeddings=features,
            multimask_output=multimask,
            **{name: prompt.to(self.model.device) for name, prompt in prompts.items()},
        )
        return output.pred_masks[:, 0, output.iou_scores[0, 0].argmax()][:, None]

    def with_tracker(self) -> nn.Module:
        """Load the tracker now instead of with the first clip.

        Returns:
            All modules that take memory when a clip is tracked.

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
        # Most of the weights, and the same ones.
        model.vision_encoder = self.model.vision_encoder
        return model.to(self.model.device)

    @cached_property
    def _processor(self) -> "Sam2VideoProcessor":
        import transformers

        # Only its session is used; frames are prepared by the image processor.
        return transformers.Sam2VideoProcessor(self._prepare, transformers.Sam2VideoVideoProcessor())

    @cached_property
    def _prepare(self) -> "BaseImageProcessor":
        return image_processor("sam2", "Sam2ImageProcessor")(size={"height": self._side, "width": self._side})

    def _pixels(self, picture: Tensor) -> Tensor:
        """Scale and normalise a picture: (1, 3, side, side)."""
        prepared = self._prepare(images=[to_planes(picture)], return_tensors="pt")
        return prepared["pixel_values"].to(self.model.device)

    def _scaled(self, places: Tensor, picture: Tensor) -> Tensor:
        """Scale coordinates (…, 2n), x and y by turns, from the picture to the model's input."""
        height, width = picture.shape[:2]
        scale = torch.tensor([self._side / width, self._side / height]).repeat(places.shape[-1] // 2)
        return places.float() * scale

    def _forget(self, session: "Sam2VideoInferenceSession", frame: int) -> None:
        """Drop what no later frame uses: the frame, its full masks, and memories that are too old."""
        config = self._video.config
        oldest = frame - max(config.num_maskmem, config.max_object_pointers_in_encoder)
        session.processed_frames[frame - 1] = None
        for outputs in session.output_dict_per_obj.values():
            tracked = outputs["non_cond_frame_outputs"]
            tracked.pop(oldest, None)
            if frame in tracked:
                tracked[frame]["high_res_masks"] = tracked[frame]["pred_masks"] = None


def _upscale(logits: Tensor, picture: Tensor) -> Tensor:
    """Scale logits (N, 1, h, w) to the size of a picture: (N, H, W) on the CPU."""
    full = F.interpolate(logits.float().cpu(), tuple(picture.shape[:2]), mode="bilinear", align_corners=False)
    return rearrange(full, "n 1 h w -> n h w")
