"""Comparing settings of one circuit: what varies, how it is trained, the report."""
