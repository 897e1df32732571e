"""Files in an S3-compatible bucket: `adapter` is the storage, `copies` what of it is on this machine."""
