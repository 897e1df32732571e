"""Names of the models in train.py, for processes that must not import MLflow."""

ALL = (
    "churn",
    "boosted",
    "lightly",
    "torched",
    "streaming",
    "behaving",
    "unloadable",
    "once",
    "unimportable",
    "conflicting",
    "impossible",
    "versioned",
)
