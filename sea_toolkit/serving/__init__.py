"""Runs behind an HTTP endpoint that speaks as OpenAI's does; needs the extra `serve`."""
