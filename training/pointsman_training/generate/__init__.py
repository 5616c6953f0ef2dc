"""Data of our own making, the same for the same seed. Seeds are the hand-written files of `data/`."""
