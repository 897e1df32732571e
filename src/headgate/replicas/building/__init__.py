"""Building one Python environment with uv. Called by `replicas.environments` only."""
