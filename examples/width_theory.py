"""Why is one broadcast error vector enough? Because wide nonnegative networks give all units nearly the same credit.

Eq. 15 says how nearly: before the last hidden layer the relative standard deviation r of credit falls as one over the
root of the width. This script measures it on random networks, for i.i.d. weights and for ON/OFF initialization, which
breaks two of Eq. 15's assumptions and has a recurrence of its own.

Run it:  python examples/width_theory.py                                   (seconds)
         python examples/width_theory.py --largest 8192 --seeds 32 --json width_theory.json     (docs/theory.md)
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.analysis.weight_distributions import DISTRIBUTIONS
from neurosim.analysis.width_networks import sign_gated_relative_std
from neurosim.analysis.width_theory import (
    Values,
    log_log_slope,
    measured_relative_std,
    predicted_onoff_relative_std,
    predicted_relative_std,
)
from neurosim.figures.width_theory import draw_width_theory

HIDDEN = 4
#: a forward pass holds whole weight matrices of doubles while they are drawn
LARGEST_SIMULATED = 1024
#: Eq. 15 is for wide layers: its error is that from this width up
WIDE = 256


def summary(widths: list[int], r: Values, predicted: Values) -> dict[str, Any]:
    """Means over examples for every seed, and what Eq. 15 (or the recurrence for ON/OFF) says."""
    per_seed = r.mean(2)  # (widths, seeds, layers)
    wide = [number for number, width in enumerate(widths) if width >= WIDE]
    slopes = [log_log_slope(widths, r.mean((1, 2))[:, layer]) for layer in range(r.shape[-1])]
    error = per_seed.mean(1)[wide] / predicted[wide] - 1
    return {
        "widths": widths,
        "measured_by_width_seed_layer": per_seed.round(5).tolist(),
        "std_over_examples_and_seeds": r.std((1, 2)).round(5).tolist(),
        "predicted_by_width_layer": predicted.round(5).tolist(),
        "slopes_by_layer": [round(slope, 4) for slope in slopes],
        "largest_relative_error_from_256": round(float(np.abs(error).max()), 4),
        "largest_relative_error_from_256_by_layer": np.abs(error).max(0).round(4).tolist(),
    }


def independent(widths: list[int], seeds: int) -> dict[str, Any]:
    """Eq. 15 against i.i.d. weights with random gates, and with the gates of a real forward pass."""
    found = {}
    simulated = [width for width in widths if width <= LARGEST_SIMULATED]
    for name, distribution in DISTRIBUTIONS.items():
        if distribution.independent:
            theory = np.array([predicted_relative_std((width,) * HIDDEN, distribution.ratio) for width in widths])
            r = measured_relative_std(widths, name, hidden=HIDDEN, seeds=range(seeds))
            found[f"{name}, random gates"] = summary(widths, r, theory)
            r = sign_gated_relative_std(simulated, name, hidden=HIDDEN, seeds=range(seeds))
            found[f"{name}, sign gates"] = summary(simulated, r, theory[: len(simulated)])
    return found


def onoff(widths: list[int], seeds: int) -> dict[str, Any]:
    """ON/OFF weights, one broken assumption after the other, against the recurrence for pairs."""
    found, simulated = {}, [width for width in widths if width <= LARGEST_SIMULATED]
    for gates in ("independent", "paired"):
        theory = np.array([predicted_onoff_relative_std((width,) * HIDDEN, gates == "paired") for width in widths])
        r = measured_relative_std(widths, "on-off", hidden=HIDDEN, gates=gates, seeds=range(seeds))
        found[f"on-off, {gates} gates"] = summary(widths, r, theory)
    r = sign_gated_relative_std(simulated, "on-off", hidden=HIDDEN, seeds=range(seeds))
    found["on-off, sign gates"] = summary(simulated, r, theory[: len(simulated)])
    return found


def main(largest: int = 512, seeds: int = 2, json_path: Path | None = None) -> dict[str, Any]:
    """Print a line per setting, draw the figure, and return all numbers."""
    widths = [2**power for power in range(5, largest.bit_length()) if 2**power <= largest]
    found = independent(widths, seeds) | onoff(widths, seeds)
    print(f"{HIDDEN} hidden layers of one width; largest error of the theory from width 256 up, slopes by layer")
    for name, each in found.items():
        slopes = ", ".join(f"{slope:+.2f}" for slope in each["slopes_by_layer"])
        print(f"{name:32s} error {each['largest_relative_error_from_256']:6.2%}   slopes {slopes}")
    marginal = predicted_relative_std((widths[-1],) * HIDDEN, DISTRIBUTIONS["on-off"].ratio)
    real = np.mean(found["on-off, paired gates"]["measured_by_width_seed_layer"][-1], axis=0)
    print(
        "ON/OFF over Eq. 15, first to last layer:",
        ", ".join(f"{a / b:.2f}" for a, b in zip(real, marginal, strict=True)),
    )
    names = [name for name in found if name.endswith("random gates")] + ["on-off, paired gates"]
    ax = draw_width_theory(
        widths,
        {name: np.array(found[name]["measured_by_width_seed_layer"])[..., 0] for name in names},
        {name: np.array(found[name]["predicted_by_width_layer"])[:, 0] for name in names},
    )
    ax.figure.savefig("width_theory.png", dpi=150)
    print("picture in width_theory.png")
    if json_path is not None:
        command = f"python examples/width_theory.py --largest {largest} --seeds {seeds} --json {json_path.name}"
        about = {"command": command, "hidden": HIDDEN, "seeds": seeds}
        json_path.write_text(json.dumps({**about, "settings": found}) + "\n", encoding="utf-8")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Eq. 15 against random networks")
    parser.add_argument("--largest", type=int, default=512, help=f"widths 32, 64, ... up to this one, {WIDE} or more")
    parser.add_argument("--seeds", type=int, default=2, help="networks per width")
    parser.add_argument("--json", type=Path, default=None, help="where to write all numbers")
    given = parser.parse_args()
    if given.largest < WIDE or given.seeds < 1:
        parser.error(f"expected --largest of {WIDE} or more and --seeds of 1 or more")
    main(given.largest, given.seeds, given.json)
