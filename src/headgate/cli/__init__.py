"""Commands for people; `serve` starts the house, all others are clients of the public REST API."""
