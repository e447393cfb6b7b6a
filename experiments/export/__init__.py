"""Results as files for other programs: CSV, Parquet, COCO's format."""
