"""The energy `keywords`: words that are required or forbidden, read by an automaton over token bytes."""
