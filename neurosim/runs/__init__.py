"""The run file: how it is laid out, written while training, and read back."""
