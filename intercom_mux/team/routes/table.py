"""Routes by the names that profiles use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.team.routes.hook import HookRoute
from intercom_mux.team.routes.http import HttpRoute
from intercom_mux.team.routes.inbox import InboxRoute
from intercom_mux.team.routes.native import NativeRoute
from intercom_mux.team.routes.paste import PasteRoute
from intercom_mux.team.routes.queue import QueueRoute

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.team.routes.base import Route, Target

ROUTES: dict[str, Callable[[Target], Route]] = {
    "native": NativeRoute,
    "hook": HookRoute,
    "http": HttpRoute,
    "queue": QueueRoute,
    "paste": PasteRoute,
    "inbox": InboxRoute,
}


def routes_to(target: Target) -> list[Route]:
    """Return the routes to an agent, in the order in which they are tried."""
    return [ROUTES[name](target) for name in target.profile.routes if name in ROUTES]
