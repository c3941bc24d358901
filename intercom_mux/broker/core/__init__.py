"""The broker core: `(event, now) -> effects`. No socket, no clock, no file."""
