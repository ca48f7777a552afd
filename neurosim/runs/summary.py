"""A run in a few lines of text. Circuit and rules are told from the recorded data: no plug-in need be installed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from neurosim.runs.recorded_summary import recorded_lines

if TYPE_CHECKING:
    from neurosim.runs.run import Run


def summary_lines(run: Run) -> Iterator[str]:
    """What the run was, how far it came and where it stands, line by line."""
    about, config, epochs, checkpoints = run.attributes, run.config, run.epochs, run.checkpoints
    reason = f" ({run.reason})" if run.reason else ""
    yield f"{run.path}: {run.status}{reason}"
    yield f"  epoch       {run.epoch} of {config['epochs']}, batch size {config['batch_size']}"
    sizes = f"{about['dataset_train_size']} train + {about['dataset_test_size']} test images"
    yield f"  dataset     {about['dataset']}, {sizes}"
    yield from (f"  {line}" for line in circuit_lines(json.loads(run.circuit_json)))
    yield f"  optimizer   {in_words(config['optimizer'])}"
    yield f"  simulator   {about['precision']}, {_vectorization(run)}, {about['device']}, seed {about['seed']}"
    if len(epochs):
        last, best = epochs.iloc[-1], epochs.iloc[int(epochs["test_error"].argmin())]
        yield f"  last epoch  train error {last['train_error']:.2%}, test error {last['test_error']:.2%}"
        yield f"  best        test error {best['test_error']:.2%} at epoch {int(best['epoch'])}"
        yield f"  time        {(epochs['step_seconds'] + epochs['evaluation_seconds']).mean():.3g} s per epoch"
    if len(checkpoints):
        last = checkpoints.iloc[-1]
        errors = f"train error {last['train_error']:.2%}, test error {last['test_error']:.2%}"
        yield f"  checkpoint  epoch {int(last['epoch'])}: {errors} (full passes)"
    if len(run.spread):
        now = ", ".join(f"{group} {value:.3g}" for group, value in run.spread.iloc[-1].items())
        yield f"  spread      {now} (of untied weights, at the last checkpoint)"
    yield from recorded_lines(run)
    yield f"  weights     of epochs {', '.join(map(str, run.kept_epochs)) or 'none'}"
    yield f"  written     {about['created']}, neurosim {about['neurosim']}, torch {about['torch']}"


def _vectorization(run: Run) -> str:
    """With the order of time bins, where the settings noted it."""
    ran, noted = str(run.attributes["vectorization"]), str(run.config["notes"].get("vectorization", ""))
    return noted if noted.startswith(f"{ran}:") else ran


def circuit_lines(data: Mapping[str, Any]) -> Iterator[str]:
    """Populations and rules of a circuit's plain data, as far as they are told there.

    Example:
        >>> from neurosim import circuits
        >>> for line in circuit_lines(circuits.load("digits-fc", widths=(8, 6)).to_dict()):
        ...     print(line)
        circuit     K = 10, input (1, 8, 8), fc1 (8), fc2 (6), output; readout OneHot(classes=10, loss='cross_entropy')
        rules       GEVB(): every group
    """
    if "inputs" not in data or "groups" not in data:
        return
    hidden = [
        f"{entry['population']} ({', '.join(map(str, entry['shape']))})" if "shape" in entry else entry["relay"]
        for entry in data["populations"]
    ]
    inputs = f"input ({', '.join(map(str, data['inputs']))})"
    yield f"circuit     K = {data['K']}, {', '.join([inputs, *hidden, 'output'])}; readout {in_words(data['readout'])}"
    groups: dict[str, list[str]] = {}
    for entry in data["groups"]:
        groups.setdefault("frozen" if entry["rule"] is None else in_words(entry["rule"]), []).append(entry["name"])
    places = {rule: "every group" if len(groups) == 1 else ", ".join(names) for rule, names in groups.items()}
    yield f"rules       {'; '.join(f'{rule}: {where}' for rule, where in places.items())}"


def in_words(part: Mapping[str, Any]) -> str:
    """A part's plain data as a call; options that are None are left out.

    Example:
        >>> in_words({"type": "DFA", "limits": [0, 1], "hold": None})
        'DFA(limits=[0, 1])'
    """
    options = {key: value for key, value in part.items() if key not in ("type", "kind") and value is not None}
    shown = (f"{key}={in_words(value) if _is_part(value) else repr(value)}" for key, value in options.items())
    return f"{part['type']}({', '.join(shown)})"


def _is_part(value: Any) -> bool:
    return isinstance(value, Mapping) and "type" in value
