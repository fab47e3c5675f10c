"""Pixels to the numbers that an image model takes, as ``preprocessor_config.json`` describes it.

Keys, classes and their rules are those of Hugging Face's image processors with Pillow (transformers 5.24).
What the file says is done, or the package is refused with the name of the key: nothing that changes pixels is
ignored.
"""

from modelserve.tasks.preprocessing.reading import FILE_NAME, read_preprocessing
from modelserve.tasks.preprocessing.steps import Preprocessing

__all__ = ["FILE_NAME", "Preprocessing", "read_preprocessing"]
