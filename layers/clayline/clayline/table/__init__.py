"""The table adapter: rows of embeddings to GeoParquet. The only place that imports pyarrow."""
