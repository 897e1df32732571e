"""Who are you, what may you do, which secret is yours."""
