"""The original picture moved by the flow that a base predicts, at any size."""
