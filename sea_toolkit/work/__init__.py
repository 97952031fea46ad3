"""Work that is cut into pieces, which workers elsewhere do: what an engine is given, and how it is called."""
