"""Factors from dictionaries: columns that are atoms, or few atoms each."""

from .result import DictionaryFit

__all__ = ["DictionaryFit"]
