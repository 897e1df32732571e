"""Bringing one process to life and ending it: zygotes, replicas, limits. Called by the roster and the agent."""
