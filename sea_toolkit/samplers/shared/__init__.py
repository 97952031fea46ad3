"""What several samplers use: no file here is a sampler."""
