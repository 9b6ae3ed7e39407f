"""The web page of scripts/app.py: a photograph and a sentence go in, a coloured photograph comes out."""
