"""What adapters do in a model: the formulas, and how they get there."""
