"""Integers as people give them: lists, numpy arrays, torch tensors, checked and made into plain ones."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_integers(ids: Any) -> NDArray[Any]:
    """Any sequence of integers as a fresh one-dimensional array of an integer dtype, or of Python ints.

    Raises:
        ValueError: for what has not exactly one dimension.
        TypeError: for what is not integers. Booleans alone are not; among integers they are 0 and 1, as to Python.

    >>> as_integers((3, 1, 2))
    array([3, 1, 2])
    """
    if hasattr(ids, "detach"):  # a torch tensor, on whatever device
        if ids.is_floating_point():  # numpy has not all of these types
            raise TypeError(f"ids must be integers, not {ids.dtype}")
        ids = ids.detach().cpu().numpy()
    try:
        array = np.array(ids)
    except ValueError as error:  # numpy's answer to rows of unequal length
        raise ValueError(f"ids must be one sequence of integers: {error}") from None
    if array.ndim == 0 and not hasattr(ids, "ndim"):
        raise ValueError(f"ids must be a one-dimensional sequence of integers, not {type(ids).__name__}")
    if array.ndim != 1:
        raise ValueError(f"ids must be one-dimensional, not of shape {array.shape}")
    if array.size == 0:
        return np.empty(0, dtype=np.int32)
    if array.dtype.kind in "iu":
        return array
    wrong = TypeError(f"ids must be integers, not {array.dtype if array.dtype != object else 'mixed values'}")
    if array.dtype != object and hasattr(ids, "ndim"):
        raise wrong
    try:
        values = [operator.index(value) for value in ids]
    except TypeError:
        raise wrong from None
    if all(isinstance(value, (bool, np.bool_)) for value in ids):
        raise wrong
    try:
        return np.array(values, dtype=np.int64)
    except OverflowError:
        return np.array(values, dtype=object)  # beyond 64 bits; the range check names them


def as_integer(name: str, value: Any, least: int) -> int:
    """`value` as an int that is at least `least`; a TypeError or ValueError that names it otherwise."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}") from None
    if isinstance(value, bool) or number < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
    return number


def as_ranges(name: str, ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges (start, stop) as pairs of ints; a TypeError that names what is none otherwise.

    >>> as_ranges("keep", np.array([[0, 2], [5, 7]]))
    [(0, 2), (5, 7)]
    """
    try:
        listed = list(ranges)
    except TypeError:
        raise TypeError(f"{name} must be a list of ranges (start, stop), not {type(ranges).__name__}") from None
    pairs = []
    for given in listed:
        try:
            start, stop = given
            pairs.append((operator.index(start), operator.index(stop)))
        except (TypeError, ValueError):
            raise TypeError(f"{name} must be a list of ranges (start, stop) of integers, not of {given!r}") from None
    return pairs
