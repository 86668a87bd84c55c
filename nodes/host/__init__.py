"""ComfyUI's side of every node: services, sockets, and what is said to the user."""
