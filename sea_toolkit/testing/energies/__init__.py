"""The conformance kit for energies."""
