"""The bytes of an image to upright pixels in RGB or grey.

Only pixels and orientation are needed: a fault in anything else that a file holds does not refuse an image.
The header alone decides whether an image is small enough; nothing is decompressed before.
"""

from modelserve.tasks.decoding.images import FORMATS, Mode, decode_image

__all__ = ["FORMATS", "Mode", "decode_image"]
