"""Layout files: found, loaded strictly, expanded into a model."""
