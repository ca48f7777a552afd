"""From run files and tables of numbers to the figures of ``neurosim.figures``."""
