"""Where things of a user are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The root of everything cached: `$SEA_CACHE`, or the user's cache folder. May not exist yet."""
    import platformdirs

    chosen = os.environ.get("SEA_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("sea-toolkit"))
