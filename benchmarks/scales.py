"""Equal weights on two rewards of different scale: what each gains, in standard deviations of the policy's own answers.

    python benchmarks/scales.py

Each pair is calibrated on the prompts below (16 base answers each), then `tilted` answers them with 32 samples. The
gain is that of the answer over the mean of the base answers, each reward in its own `base-std`.
"""

from __future__ import annotations

import json
from statistics import fmean, stdev
from typing import Any

import sea_toolkit as sea

PROMPTS = """\
How was your day?
Describe the weather today.
Tell me about your favourite meal.
What do you think of the new film?
Write a short note to a neighbour.
Describe the city where you live.
What is it like to travel by train?
Tell me about a book you have read.
How do you feel about winter?
Write one sentence about your work.
Describe a visit to the doctor.
What happened at the party?
Tell me about the hotel.
How was the concert last night?
Describe your old school.
What do you think about cats?
Write a review of a restaurant.
Tell me about your morning.
How is the coffee here?
Describe the last game you watched.
What is your opinion of this phone?
Tell me about the holiday.
Describe the house next door.
How did the meeting go?""".splitlines()
WEIGHT, LENGTH, BUDGET = 3.0, 32, 32
PAIRS: list[list[dict[str, Any]]] = [
    [{"model": "sentiment", "weight": WEIGHT}, {"model": "toxicity", "weight": -WEIGHT}],
    [{"model": "sentiment", "weight": WEIGHT}, {"model": "harmlessness", "weight": WEIGHT}],
]


def gains(pair: list[dict[str, Any]]) -> dict[str, Any]:
    """For each reward its deviation, and mean and standard error of its gain."""
    terms = [{"name": "reward", "scale": "base-std", **term} for term in pair]
    recipe = {
        "energies": [{"name": "reference"}, *terms],
        "max_new_tokens": LENGTH,
        "sampler": {"name": "tilted", "budget": BUDGET},
    }
    calibration = sea.calibrate(PROMPTS, recipe=recipe)
    results = sea.align(PROMPTS, recipe=calibration.recipe, seed=1)
    found = {}
    for term in calibration.terms:
        if term.is_reward:
            sign = 1.0 if term.weight > 0 else -1.0
            gained = [sign * (r.rewards[term.label][1] - term.mean) / term.deviation for r in results]
            error = stdev(gained) / len(gained) ** 0.5
            found[term.label] = {"base-std": term.deviation, "gain": fmean(gained), "error": error}
    return found


def main() -> None:
    """Print a line of JSON for each pair."""
    for pair in PAIRS:
        print(json.dumps(gains(pair)), flush=True)


if __name__ == "__main__":
    main()
