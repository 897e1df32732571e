"""What adapters of vendors with a dialect of their own share: the middle language, read and written."""
