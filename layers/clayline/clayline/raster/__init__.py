"""The raster adapter.

GDAL, through rasterio, opens every COG here and nowhere else, reads headers and pixels, and projects coordinates.
"""
