"""The server under test has the models `halves` (grey 8x8: left, right, neither) and `colour` (RGB 8x8, four classes without names)."""

import os

import numpy as np
import pytest


@pytest.fixture
def address():
    """`host:port`"""
    return os.environ["BUCKLER_ADDRESS"]


@pytest.fixture
def images():
    """Grey, left halves brighter by 0.5 and 0.25, a right half by 0.75."""
    images = np.zeros((3, 1, 8, 8), dtype=np.float32)
    images[0, :, :, :4] = 0.5
    images[1, :, :, :4] = 0.25
    images[2, :, :, 4:] = 0.75
    return images


@pytest.fixture
def logits():
    """What `halves` says of them."""
    return np.array([[6, -6, -3], [3, -3, -3], [-9, 9, -3]], dtype=np.float32)
