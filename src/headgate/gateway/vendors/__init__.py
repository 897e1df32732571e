"""Vendors of external models as one server process sees them: their keys and tokens, whether they answer, and one attempt at one of them."""
