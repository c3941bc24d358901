"""The board of a team: feed (the only I/O) → model (pure) → app (textual, imported by `watch` alone)."""
