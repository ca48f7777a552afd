"""Published experiments run again, in a folder that can be interrupted, and set beside the published numbers."""
