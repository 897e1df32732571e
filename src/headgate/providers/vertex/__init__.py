"""Google Cloud Vertex AI: Gemini as a vendor."""
