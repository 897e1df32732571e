"""What endpoints of language models have beside the others: vendors' models, and what is asked of the gateway."""
