"""Find plugins, check them, answer by name; imports no torch and knows no energy."""
