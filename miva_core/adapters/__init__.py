"""What an adapter is: its parameters and its file."""
