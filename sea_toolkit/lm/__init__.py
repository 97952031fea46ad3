"""A causal language model as this project needs it: policy, cache, decoding, the bytes of its tokens."""
