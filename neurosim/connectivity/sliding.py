"""What convolution and local connection share: receptive fields on a grid of positions."""

from __future__ import annotations

from attrs import field, frozen

from neurosim.connectivity.base import (
    Connectivity,
    Shape,
    as_kernel,
    as_padding,
    as_stride,
    check_image_shape,
    sliding_extent,
)
from neurosim.errors import CircuitError


@frozen
class _SlidingWindow(Connectivity):
    """Receptive fields of ``kernel`` every ``stride``, with ``padding`` zeros around the presynaptic population."""

    kernel: tuple[int, int] = field(converter=as_kernel)
    stride: tuple[int, int] = field(default=(1, 1), converter=as_stride)
    padding: tuple[int, int] = field(default=(0, 0), converter=as_padding)

    def post_shape(self, pre: Shape, channels: int | None) -> Shape:
        check_image_shape(self, pre)
        if channels is None:
            raise CircuitError(
                f"{type(self).__name__} needs a postsynaptic population whose number of channels is known"
            )
        return (channels, *self._extent(pre))

    def fan_in(self, pre: Shape) -> int:
        return pre[0] * self.kernel[0] * self.kernel[1]

    def _extent(self, pre: Shape) -> tuple[int, int]:
        return sliding_extent(self, pre[1:], self.kernel, self.stride, self.padding)
