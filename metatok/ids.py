"""Integers as people give them: lists, numpy arrays, torch tensors, checked and made into plain arrays."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_integers(ids: Any) -> NDArray[Any]:
    """Any sequence of integers as a fresh one-dimensional array of an integer dtype, or of Python ints.

    Raises:
        ValueError: for what has not exactly one dimension.
        TypeError: for what is not integers (booleans are not).

    >>> as_integers((3, 1, 2))
    array([3, 1, 2])
    """
    if hasattr(ids, "detach"):  # a torch tensor, on whatever device
        ids = ids.detach().cpu().numpy()
    try:
        array = np.array(ids)
    except ValueError as error:  # numpy's answer to rows of unequal length
        raise ValueError(f"ids must be one sequence of integers: {error}") from None
    if array.ndim != 1:
        raise ValueError(f"ids must be one-dimensional, not of shape {array.shape}")
    if array.size == 0:
        return np.empty(0, dtype=np.int32)
    if array.dtype == object and all(isinstance(v, int) for v in array):
        return array  # integers beyond 64 bits; the range check names them
    if array.dtype.kind not in "iu":
        raise TypeError(f"ids must be integers, not {array.dtype if array.dtype != object else 'mixed values'}")
    return array


def as_integer(name: str, value: Any, least: int) -> int:
    """`value` as an int that is at least `least`; a TypeError or ValueError that names it otherwise."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}") from None
    if isinstance(value, bool) or number < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
    return number
