"""How well the built-in MiraMo does what its words say, by the exact flow of drawn clips."""
