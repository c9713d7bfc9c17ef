"""MiraMo: SANA's transformer with linear attention over time."""
