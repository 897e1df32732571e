"""How a client may speak: requests into the middle language, answers, streams and errors of that back into the client's own."""
