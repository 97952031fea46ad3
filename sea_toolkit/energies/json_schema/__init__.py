"""The energy `json-schema`: texts that are JSON, and what a schema asks for."""
