"""Cases on disk: layouts, reading and writing, splits, loaders, phantoms."""
