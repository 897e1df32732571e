"""The guest house: what runs inside a model's own environment. Standard library only, Python >= 3.9, any MLflow >= 2."""
