"""The fixtures of real agents, for `agents.py`."""

from tests.real.conftest import agent, homes, model, team  # noqa: F401 - pytest finds them here
