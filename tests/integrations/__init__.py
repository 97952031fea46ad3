"""Hosts of evaluations, and other tools that call this one."""
