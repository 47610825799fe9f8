"""The networks: one folder each, configuration and model."""
