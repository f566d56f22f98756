"""From words to requests about the map, by a language model."""

from mapllava.models.parsers.language_model import LanguageModel

__all__ = ["LanguageModel"]
