"""Who connects to whom: each connectivity is three linear maps, and nothing else knows its geometry."""

from neurosim.connectivity.base import Connectivity, Shape
from neurosim.connectivity.conv import Conv2d
from neurosim.connectivity.dense import Dense
from neurosim.connectivity.local import Local2d
from neurosim.connectivity.pool import AvgPool

__all__ = ["AvgPool", "Connectivity", "Conv2d", "Dense", "Local2d", "Shape"]
