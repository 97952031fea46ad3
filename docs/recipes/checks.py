"""What the recipe `verifier.toml` asks for: a function of the text, higher is better."""

VOWELS = "aeiou"


def vowels(text: str) -> float:
    """Share of the letters that are vowels, in percent."""
    letters = [c for c in text.lower() if c.isalpha()]
    return 100 * sum(c in VOWELS for c in letters) / max(1, len(letters))
