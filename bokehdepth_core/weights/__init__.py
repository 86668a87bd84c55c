"""Weight files: safe reading, strict loading, published names, download."""
