"""The small base that comes with the package."""
