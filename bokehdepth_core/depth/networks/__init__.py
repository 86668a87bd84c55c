"""The networks of stage 2, as their published weights name them."""
