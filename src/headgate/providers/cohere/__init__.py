"""Cohere: chat and embeddings of its API's second version."""
