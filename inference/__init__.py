"""From a photograph and a sentence to a photograph in colour."""

from inference.colorizer import DEFAULT_CHECKPOINT, Colored, Colorizer, EncodedPhoto
from inference.explanation import Explanation, WordEffect

__all__ = ["DEFAULT_CHECKPOINT", "Colored", "Colorizer", "EncodedPhoto", "Explanation", "WordEffect"]
