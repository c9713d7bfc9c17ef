"""Text for people: on a terminal, and in HTML or Markdown."""
