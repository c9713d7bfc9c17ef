"""Training clips: found in folders, filmed over stills, with masks and optical flow."""
