"""Shapes and framings several rooms speak."""
