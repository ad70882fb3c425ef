"""ByzFL's helpers."""
