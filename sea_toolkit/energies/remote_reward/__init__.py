"""The energy `remote-reward`: a reward model behind HTTP."""
