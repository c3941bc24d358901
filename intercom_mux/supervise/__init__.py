"""Asking the one who decides for a peer, and telling it how far things are."""
