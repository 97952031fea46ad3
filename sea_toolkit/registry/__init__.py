"""Find plugins, check them, look items up by name; imports no torch and is independent of the energies."""
