"""The arguments of each command, which are read before anything heavy is imported."""
