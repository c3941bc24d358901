"""The client of the warehouse API."""

from __future__ import annotations

import json
import urllib.request
from typing import Any


class WarehouseError(Exception):
    """The warehouse did not answer with orders."""


class Warehouse:
    """Reads orders with a fixed access token."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    def open_orders(self) -> list[dict[str, Any]]:
        """Return the orders that are not shipped yet, oldest first.

        TODO: the token is never renewed and a failed call is not retried.
        """
        headers = {"Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(f"{self._url}/orders?state=open", headers=headers)  # noqa: S310 - https
        try:
            with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310 - likewise
                orders: list[dict[str, Any]] = json.load(response)
        except (OSError, ValueError) as error:
            raise WarehouseError(str(error)) from error
        return sorted(orders, key=lambda order: str(order["created_at"]))
