"""The steps of `gateway.pipeline`, one file each."""
