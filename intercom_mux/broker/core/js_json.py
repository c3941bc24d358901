"""Compact JSON as `JSON.stringify` writes it, so that a hash of it is the one that a JavaScript program computes.

Integer-like keys come first in ascending order, then the others as they came; numbers are doubles, spelled as
ECMAScript's Number::toString does.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

_ARRAY_INDEX_MAX = 2**32 - 2
_string = json.JSONEncoder(ensure_ascii=False).encode


def dump(value: Any) -> bytes:
    """Return the JSON of a decoded value.

    Raises:
        ValueError: A number is beyond a double, where JavaScript would write `null`.
    """
    return "".join(_parts(value)).encode()


def _parts(value: Any) -> list[str]:
    match value:
        case None | True | False:
            return [json.dumps(value)]
        case str():
            return [_string(value)]
        case int() | float():
            return [number(value)]
        case list():
            items = [",".join("".join(_parts(item)) for item in value)]
            return ["[", *items, "]"]
    members = (_string(key) + ":" + "".join(_parts(value[key])) for key in sorted(value, key=_key_order))
    return ["{", ",".join(members), "}"]


def _key_order(key: str) -> tuple[bool, int]:
    is_index = key.isascii() and key.isdigit() and str(int(key[:11])) == key and int(key) <= _ARRAY_INDEX_MAX
    return (False, int(key)) if is_index else (True, 0)


def number(value: float) -> str:
    """Return the shortest decimal that reads back as the same double, laid out as JavaScript does."""
    try:
        double = float(value)
    except OverflowError as error:
        raise ValueError("number beyond a double") from error
    if double == 0:
        return "0"
    sign, digit_values, exponent = Decimal(repr(double)).as_tuple()
    if not isinstance(exponent, int):
        raise ValueError("number beyond a double")
    written = "".join(map(str, digit_values))
    digits = written.rstrip("0")
    point = len(written) + exponent
    return "-" * sign + _laid_out(digits, point)


def _laid_out(digits: str, point: int) -> str:
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"
