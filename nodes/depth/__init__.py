"""Nodes of stage 2: depth estimated, read, guessed and saved."""
