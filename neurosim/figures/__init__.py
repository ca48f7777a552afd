"""Figures: arrays in, ``ax`` in, axes out; nothing global is changed. Import them one by one, they need matplotlib."""
