"""What training a depth network needs and no other training does."""
