"""From a camera's pixels to a feature: the only preprocessing, and the encoder's session."""

from .encoder import Encoder
from .preprocess import Preprocess, PreprocessSpec
from .session import GraphError, GraphSession

__all__ = ["Encoder", "GraphError", "GraphSession", "Preprocess", "PreprocessSpec"]
