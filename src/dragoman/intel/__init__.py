"""Knowledge -> Text: the built-in threats and the loaders of vulnerability intelligence."""

from .read import read_texts
from .threats import benchmark, builtin

__all__ = ["benchmark", "builtin", "read_texts"]
