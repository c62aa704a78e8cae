"""From a video file to the inputs of two networks: frames that are decoded once and resized for either of them.

The appearance network sees single frames, the motion network snippets (:mod:`pipeline.features.visual.snippets`). This
module uses no torch, see :mod:`pipeline.features.visual.frames`.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.features.decoding import Prepared
from pipeline.features.visual.frames import RESIZES, FrameDecoder
from pipeline.features.visual.snippets import stack_snippets


@dataclass(frozen=True)
class TwoStreamDecoder(FrameDecoder):
    """Chooses and decodes frames, and resizes each to two squares; a :class:`pipeline.features.decoding.Decoder`.

    An input is a frame: the square of the appearance network and that of the motion network, flattened in C order one
    behind the other, since inputs of one file have one shape. :meth:`split` takes them apart.

    Parameters
    ----------
    image_size, resize
        Of the appearance network.
    motion_image_size : int
        Side of the motion network's square, in pixels.
    motion_resize : str
        As `resize`.
    """

    motion_image_size: int = field(kw_only=True)
    motion_resize: str = field(kw_only=True)

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of what :meth:`convert` makes of a frame."""
        return (3 * self.image_size**2 + 3 * self.motion_image_size**2,)

    def convert(self, image: np.ndarray) -> np.ndarray:
        """Make a decoded frame (H, W, 3), uint8, RGB, both squares, one flat array."""
        motion = RESIZES[self.motion_resize](image, self.motion_image_size)
        return np.concatenate([super().convert(image).ravel(), motion.ravel()])

    def split(self, prepared: Prepared) -> tuple[Prepared, Prepared]:
        """Return the inputs of either network, as the decoder of that network alone makes them.

        Parameters
        ----------
        prepared : Prepared
            Inputs (U, `frame_shape`) and rows (T, K), of this decoder.

        Returns
        -------
        appearance : Prepared
            Inputs (U, 3, H, W) and rows (T, K).
        motion : Prepared
            Inputs (V, K, 3, h, w), one for each of V valid segments, and rows (T, 1).
        """
        size, motion_size = self.image_size, self.motion_image_size
        appearance, motion = np.split(prepared.inputs, [3 * size**2], axis=1)
        return (
            replace(prepared, inputs=appearance.reshape(-1, 3, size, size)),
            stack_snippets(replace(prepared, inputs=motion.reshape(-1, 3, motion_size, motion_size))),
        )
