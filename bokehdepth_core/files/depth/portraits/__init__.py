"""Photos that carry their own depth: HEIC, portrait JPEG, and the XMP in them."""
