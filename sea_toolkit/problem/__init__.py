"""What a sampler sees: weighted terms, constraints, scores, a locked prefix."""
