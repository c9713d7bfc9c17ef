"""What strengths, constant and in the course of a run or clip, do on the built-in base, measured."""
