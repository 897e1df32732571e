"""Registered models, versions, aliases, and where their files lie."""
