"""Tables of OAuth: signing keys, secrets of service principals, logins, on the same metadata as `tables`. Pure data. Timestamps are milliseconds since the epoch."""
