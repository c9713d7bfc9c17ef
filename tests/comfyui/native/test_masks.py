"""Masked motions: the same clip and the same masks as the engine's own run, at every step."""

from __future__ import annotations

from dataclasses import replace

import pytest
from comfyui_miva.miva_core import MIVAConfig

from .adapters import MASKED
from .cases import Case
from .masked_cases import MaskedCase, check_run

JOINT = replace(MASKED, cfa_softmax="joint")
UNGUIDED = replace(MASKED, image_guidance=False)


@pytest.mark.parametrize("config", [JOINT, UNGUIDED], ids=["joint softmax", "no image guidance"])
def test_a_run_with_two_subjects_is_the_engines(case: Case, config: MIVAConfig) -> None:
    check_run(MaskedCase(case, config, config))


def test_subjects_of_other_configs_keep_their_own_rows_and_masks(case: Case) -> None:
    """The rows of motions are ordered by config, in which the plain motion stands beside the first."""
    check_run(MaskedCase(case, JOINT, UNGUIDED))


def test_a_subject_keeps_its_region_while_its_motion_rests(case: Case) -> None:
    """With masks at 8 of 10 steps."""
    check_run(MaskedCase(case, steps=10, spans={"left": (0.0, 0.35), "plain": (0.5, 1.0)}))
