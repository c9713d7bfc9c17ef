"""Read pictures and videos into tensors, change their size, and write them."""
