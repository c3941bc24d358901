"""One HTTP call to the identity provider; its failures sorted into *try again* and *give up*."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request

from auth_service.tokens import Token

TIMEOUT_S = 5.0
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class ProviderUnavailable(Exception):
    """The call failed in a way that may pass; `retry_after_s` is the provider's own wish, if it sent one."""

    def __init__(self, problem: str, retry_after_s: float | None = None) -> None:
        super().__init__(problem)
        self.retry_after_s = retry_after_s


class ProviderRefused(Exception):
    """The provider said no: wrong credentials, revoked client. Asking again cannot help."""


class IdentityProvider:
    """The provider's token endpoint."""

    def __init__(self, url: str) -> None:
        if not url.startswith("https://"):
            raise ValueError(f"a token endpoint must be https: {url}")
        self._url = url

    def issue(self) -> Token:
        """Ask for a new token, once.

        Raises:
            ProviderUnavailable: Time-out, lost connection, or a status in `TRANSIENT_STATUS`.
            ProviderRefused: Any other status.
        """
        form = b"grant_type=client_credentials"
        request = urllib.request.Request(self._url, data=form)  # noqa: S310 - https is checked in __init__
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 - likewise
                body = json.load(response)
        except urllib.error.HTTPError as error:
            if error.code not in TRANSIENT_STATUS:
                raise ProviderRefused(f"status {error.code}") from error
            raise ProviderUnavailable(f"status {error.code}", _seconds(error.headers.get("Retry-After"))) from error
        except OSError as error:
            raise ProviderUnavailable(str(error)) from error
        return Token(body["access_token"], time.monotonic() + float(body["expires_in"]))


def _seconds(header: str | None) -> float | None:
    """Return a `Retry-After` given in seconds; its date form is rare here and ignored."""
    return float(header) if header and header.isdecimal() else None
