"""Tables and plots from plain data; imports no torch and knows no run."""
