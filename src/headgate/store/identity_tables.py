"""Tables of principals, groups and access tokens, on the same metadata as `tables`. Pure data. Timestamps are milliseconds since the epoch."""
