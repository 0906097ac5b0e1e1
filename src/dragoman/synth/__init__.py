"""Synthetic web payloads: a grammar per threat class, evasions, and whole requests around them."""

from .grammar import Grammar, Sample, classes, generate, load
from .mutate import encode_chain, mutate

__all__ = ["Grammar", "Sample", "classes", "encode_chain", "generate", "load", "mutate"]
