"""What a lab that is there already costs; measured alone, since it is a promise in seconds."""

from __future__ import annotations

import time

import pytest

from lab import images
from lab.docker import ensure_engine

pytestmark = pytest.mark.lab


def test_a_cached_lab_is_made_sure_of_in_a_second() -> None:
    """With engine and images there, making sure of them takes under 1 s and says nothing."""
    images.ensure_images(print)
    said: list[str] = []
    began = time.monotonic()
    ensure_engine(said.append)
    assert images.ensure_images(said.append) == images.Images()
    assert (time.monotonic() - began < 1, said) == (True, [])
