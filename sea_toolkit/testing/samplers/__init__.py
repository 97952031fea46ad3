"""The conformance kit for samplers."""
