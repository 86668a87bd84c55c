"""The bundled scene, and the run over it that needs no download."""
