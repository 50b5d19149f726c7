"""Chips: the grid, tile jobs and batches along a file's blocks, cutting, and what a COG's header says."""
