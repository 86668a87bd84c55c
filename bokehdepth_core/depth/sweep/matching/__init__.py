"""How well each blur explains a frame: the cost volume, and what it takes for granted."""
