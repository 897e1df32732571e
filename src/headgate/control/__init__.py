"""Observe, plan, apply, repeat."""
