"""OpenAI's Responses API as a way in: its requests into the middle language, answers and streams of that back into its own.

Asked by the gateway for `/responses` when whoever answers has chat only (else bytes go through). Nothing is kept between two requests.
"""
