"""The message broker: a pure core, its journal and the server around them."""
