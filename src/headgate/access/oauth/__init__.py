"""Our own authorization server: signing keys, tokens, grants, and people who log in through a browser."""
