"""From words to requests about the map, by a language model."""

from mapllava.models.parsers.language_model import LanguageModel
from mapllava.models.parsers.request_parser import RequestParser

__all__ = ["LanguageModel", "RequestParser"]
