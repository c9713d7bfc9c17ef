"""How the built-in base is made."""
