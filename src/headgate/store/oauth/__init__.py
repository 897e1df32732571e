"""Rows behind OAuth: signing keys, secrets of service principals, codes and refresh tokens, accounts at a login provider."""
