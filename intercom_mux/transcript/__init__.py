"""Transcripts: what every peer's program printed, recorded with times, masked, bounded and kept (docs/logs.md)."""
