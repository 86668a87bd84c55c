"""The colour spaces that pictures are in: ICC profiles, primaries, transfer curves."""
