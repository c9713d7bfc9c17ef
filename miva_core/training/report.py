"""The one-page report of a training, a web page that holds its own pictures."""

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from einops import rearrange
from torch import Tensor

from ..adapters.info import AdapterInfo
from ..animation.clip import Clip
from ..errors import MIVAError
from ..measure.clip_motion import ClipMotion, measure_motion, medians
from ..storage.files import replacing
from .training_set import TrainingSet
from .validation import Validation, validation_sheet

REPORT = "report.html"
MEASURED = 20
"""Training clips that are measured at most."""

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62em; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.5em } h2 { font-size: 1.1em; margin-top: 2em }
table { border-collapse: collapse }
td, th { padding: .2em 1.2em .2em 0; text-align: left; border-bottom: 1px solid #ddd }
img { max-width: 100%; height: auto }
"""


def write_report(
    path: Path,
    info: AdapterInfo,
    training_set: TrainingSet,
    validations: Sequence[Validation],
    clips: Sequence[Clip],
    curve: Path,
) -> None:
    """Write what a training was, how its loss fell, what it makes of the validation pictures and how that moves.

    Args:
        path: the HTML file.
        info: of the adapter's file.
        training_set: what was learnt.
        validations: pictures that the adapter was tried on.
        clips: made of them, in their order.
        curve: a PNG file.
    """
    parts = [
        f"<h1>{html.escape(info.motion)}</h1>",
        "<h2>Settings</h2>",
        _table([("setting", "value"), *_settings(info)]),
        "<h2>Loss</h2>",
        _picture(curve.read_bytes(), "the loss of each step and its running mean"),
    ]
    if clips:
        picture = _png(validation_sheet(validations, clips))
        parts += ["<h2>Samples</h2>", _picture(picture, "sample clips, their frames side by side")]
    parts += ["<h2>Motion</h2>", _motion(training_set, validations, clips)]
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(info.motion)}</title>'
        f"<style>{_STYLE}</style></head><body>\n{chr(10).join(parts)}\n</body></html>\n"
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _settings(info: AdapterInfo) -> Iterable[tuple[str, str]]:
    settings: Mapping[str, object] = {
        "base": f"{info.family}, {info.fingerprint}",
        "subject": info.subject or "none",
        "made for": f"{info.frames} frames of {info.size[0]}×{info.size[1]} at {info.fps:g} a second",
        **info.training,
        "structure": ", ".join(f"{name} {value}" for name, value in vars(info.config).items()),
    }
    return ((name, str(value)) for name, value in settings.items())


def _motion(training_set: TrainingSet, validations: Sequence[Validation], clips: Sequence[Clip]) -> str:
    """A table of flow statistics: of the training clips, and of those made."""
    spread = np.linspace(0, len(training_set.clips) - 1, min(MEASURED, len(training_set.clips))).round().astype(int)
    learnt = [training_set.clips[k] for k in spread]
    rows: list[tuple[str, ...]] = [("clips", "speed, pixels a frame", "to the right", "downwards", "growth a frame")]
    rows.append(
        _row(
            f"learnt from (median of {len(learnt)})",
            [
                _measured(
                    rearrange(clip.frames, "f c h w -> f h w c").float() / 255,
                    clip.masks[0].float() / 255 if training_set.masked else None,
                )
                for clip in learnt
            ],
        )
    )
    if clips:
        made = [_measured(clip.frames, next(iter(clip.masks.values()), None)) for clip in clips]
        rows.append(_row(f"made of the samples (median of {len(clips)})", made))
        rows += [_row(validation.label, [one]) for validation, one in zip(validations, made, strict=True)]
    where = "Flow of the subject, inside its mask." if training_set.masked else "Flow of the whole frame."
    return f"<p>{where} It was measured by dense inverse search.</p>{_table(rows)}"


def _row(name: str, motions: list[ClipMotion | None]) -> tuple[str, ...]:
    measured = [one for one in motions if one]
    if not measured:
        return name, *(["no subject is seen"] + 3 * [""])
    speed, right, down, growth = medians(measured)
    return name, f"{speed:.2f}", f"{right:+.2f}", f"{down:+.2f}", f"{growth * 100:+.2f} %"


def _measured(frames: Tensor, mask: Tensor | None) -> ClipMotion | None:
    """None where a mask shows too little to measure."""
    try:
        return measure_motion(frames, mask)
    except MIVAError:
        return None


def _table(rows: Iterable[Sequence[str]]) -> str:
    head, *body = rows
    lines = ["".join(f"<th>{html.escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in body]
    return "<table>" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _picture(png: bytes, text: str) -> str:
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _png(picture: Tensor) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture.numpy()).save(stream, format="PNG")
    return stream.getvalue()
