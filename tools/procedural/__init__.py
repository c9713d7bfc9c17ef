"""Procedural clips: drawn subjects over pictures or painted backdrops, with exact masks and flow."""
