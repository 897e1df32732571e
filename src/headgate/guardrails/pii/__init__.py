"""Personal data in texts: recognisers with checksums, each of linear time, and what they find."""
