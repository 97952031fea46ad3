"""The energy `judge`: a language model is asked about the answer, in a request or as a guard of a known family."""
