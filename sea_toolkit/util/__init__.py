"""Files, tables, paths, progress, independent of the rest of the toolkit."""
