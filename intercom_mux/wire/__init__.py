"""The pi-intercom v1 wire: framing, message shapes and delivery states. Pure: no socket, no clock, no file."""
