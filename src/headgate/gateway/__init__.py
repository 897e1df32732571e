"""One inference request through one readable list of stages."""
