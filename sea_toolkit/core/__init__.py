"""The nouns that every plugin speaks: soft responses and their gradients, noise, the ledger, the clock."""
