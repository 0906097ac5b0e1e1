"""The shipped sample: 300 raw HTTP requests written for Dragoman, attacks among everyday traffic.

All hosts are example hosts and every payload is inert. ``labels.json`` says which requests are
attacks, and of which threat class.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path


def sample_path() -> Path:
    """The file of raw HTTP requests, readable by ``dragoman scan``."""
    return Path(str(files(__package__) / "requests.http"))


def labels() -> dict[int, str]:
    """Ordinal of a request in the sample (1-based) -> threat class slug, for the attacks."""
    text = (files(__package__) / "labels.json").read_text("utf-8")
    return {int(ordinal): slug for ordinal, slug in json.loads(text).items()}


def planted() -> set[str]:
    """The record ids of the planted attacks, as a scan of :func:`sample_path` names them."""
    return {f"{sample_path()}#{ordinal}" for ordinal in labels()}
