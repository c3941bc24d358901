"""intercom-mux: bring up a team of coding agents from one file and let them talk."""

__version__ = "0.1.0"
