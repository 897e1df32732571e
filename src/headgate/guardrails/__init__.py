"""What may go in to a model and come out of it: personal data, keywords, safety, topics. Asked by the gateway; knows no database and no network."""
