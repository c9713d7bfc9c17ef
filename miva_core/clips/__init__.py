"""Training clips: read from folders or filmed over stills, with masks and optical flow."""
