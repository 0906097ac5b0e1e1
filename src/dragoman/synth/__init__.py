"""Synthetic web payloads: a grammar per threat class, evasions, and whole requests around them."""

from .grammar import Grammar, Sample, classes, generate, load

__all__ = ["Grammar", "Sample", "classes", "generate", "load"]
