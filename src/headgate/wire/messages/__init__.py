"""Anthropic's Messages API as a way in: its requests into the middle language, answers and streams of that back into its own.

Asked by the gateway for `/anthropic/v1/messages` when the entity is not Anthropic's (then bytes go through: `providers.anthropic.passing`).
"""
