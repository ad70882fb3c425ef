"""A small network of PyTorch with batch norm over nodes of which one is hostile."""
