"""Files on disk: read as data, never run, and written whole or not at all."""
