"""Many runs side by side: methods at equal budgets, judges, statistics."""
