"""What `sea-toolkit compare` is made of: runs at several budgets, judges, rows on disk, statistics and the report."""
