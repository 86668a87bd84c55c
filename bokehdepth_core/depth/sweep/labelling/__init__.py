"""From the cost of each pixel to one depth map: smoothness, propagation, confidence."""
