"""One run: from a recipe through the loop to a result, on disk and resumable."""
