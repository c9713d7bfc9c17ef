"""Cut a picture into the layers of a clip whose motions are displacements of its places."""

from collections.abc import Mapping

import cv2
import numpy as np

from .background import fill_hole, hole_around
from .depth_order import DepthOrder, behind_edges
from .layered_frames import CarriedLayer, LayeredFrames
from .layered_motion import Carried, LayeredMotion, Staying
from .layered_staging import LayeredStaging, camera_matrix, unit_of
from .layering import beyond
from .matte import matte
from .mirror import mirrored
from .push_pull import push_pull
from .regions import RegionLayer, region_behind, soft_region
from .source import Source, crop, fitted, seen_source
from .sprite import SEEN, cut_sprite
from .timing import ClipTimes
from .view import View
from .window import Window
