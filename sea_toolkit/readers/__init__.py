"""How a model reads a soft answer: a probe, a sequence classifier, a language model, an encoder."""
