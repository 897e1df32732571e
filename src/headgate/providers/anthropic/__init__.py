"""Anthropic: the Messages API as a vendor."""
