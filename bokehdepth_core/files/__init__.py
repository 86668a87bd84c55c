"""Files in and out: pictures, depth maps, EXIF; written whole or not at all."""
