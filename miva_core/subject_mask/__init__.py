"""Masks of subjects: found by words (Grounding DINO and SAM 2), pointed at, or cut out by colour (GrabCut)."""
