"""Measure how clips move, and their quality."""
