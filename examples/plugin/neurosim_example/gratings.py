"""Noisy gratings, drawn by a formula: a dataset without files."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from neurosim.datasets import Dataset, Split
from neurosim.streams import stream

SIZE, ORIENTATIONS = 12, 8


def load(data_dir: Path | None) -> Dataset:
    """sine gratings of 8 orientations, random phase and contrast, in noise; (1, 12, 12), 8 classes"""
    degrees = [f"{180 * k / ORIENTATIONS:g} degrees" for k in range(ORIENTATIONS)]
    source = "computed: sine gratings, 4 pixels a cycle"
    return Dataset("gratings", degrees, source, _gratings("train", 1024), _gratings("test", 256))


def _gratings(split: str, count: int) -> Split:
    generator = stream(0, "gratings", split)  # the same images in every run, whatever the run's seed
    labels = torch.arange(count, device="cpu") % ORIENTATIONS
    angle = (labels * (math.pi / ORIENTATIONS)).view(-1, 1, 1)
    phase, contrast = torch.rand(2, count, 1, 1, generator=generator, device="cpu")
    noise = torch.randn(count, SIZE, SIZE, generator=generator, device="cpu")
    row, column = torch.arange(SIZE, device="cpu").view(-1, 1), torch.arange(SIZE, device="cpu")
    cycles = (column * angle.cos() + row * angle.sin()) / 4 + phase
    brightness = 128 + (30 + 50 * contrast) * (2 * math.pi * cycles).sin() + 20 * noise
    return Split(brightness.round().clamp(0, 255).to(torch.uint8).unsqueeze(1), labels)
