"""How the built-in MiraMo is made."""
