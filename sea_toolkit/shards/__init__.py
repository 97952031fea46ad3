"""Many prompts in one folder: a plan, shards that depend on nothing but the prompts, and whoever works on them."""
