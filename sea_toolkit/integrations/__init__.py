"""Where other tools call this one: each file is for one of them, and nothing imports it but its entry point."""
