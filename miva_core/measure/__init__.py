"""How clips move, and what they are worth, in numbers."""
