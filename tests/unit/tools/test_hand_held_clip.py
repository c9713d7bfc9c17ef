"""The clip of the workflows that take a motion over."""

from pathlib import Path

import pytest
import torch
from video_files import read_at_constant_rate

from tools.hand_held_clip import SIZE, write_small


def test_a_clip_that_cannot_be_written_whole_leaves_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_small(torch.rand(2, *SIZE, 3), path)
    assert len(read_at_constant_rate(path)[0]) == 2
    earlier = path.read_bytes()
    with pytest.raises(ValueError):
        write_small(torch.rand(2, SIZE[0]), path)
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == earlier
