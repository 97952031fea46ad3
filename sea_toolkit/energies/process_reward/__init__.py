"""The energy `process-reward`: a model judges each step of an answer."""
