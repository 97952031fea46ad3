"""Files, tables, paths, progress; knows nothing of the toolkit."""
