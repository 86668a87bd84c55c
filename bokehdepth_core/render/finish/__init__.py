"""What is done to a rendered picture, or shown beside it: grain, and the view of the focus."""
