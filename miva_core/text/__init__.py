"""Text for people: on a terminal, and where a program looks for markup."""
