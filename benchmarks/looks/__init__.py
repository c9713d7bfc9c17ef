"""What shipped motions look like: each on five photographs at full size."""
