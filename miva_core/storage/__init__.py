"""Files on disk: read as data, written whole or not at all."""
