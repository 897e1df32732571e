"""The REST families: wire shape in, rule asked, row written, wire shape out."""
