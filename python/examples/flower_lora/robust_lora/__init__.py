"""A frozen layer with a low-rank adapter that alone is trained and sent."""
