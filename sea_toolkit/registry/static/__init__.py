"""What the source of a plugin tells without importing it."""
