"""HTTP to vendors: pooled, bounded, and only to addresses that may be reached."""
