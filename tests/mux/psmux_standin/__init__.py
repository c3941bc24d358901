"""A stand-in for psmux; see `psmux.py`."""
