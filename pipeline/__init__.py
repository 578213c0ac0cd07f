"""U-shaped networks as MONAI bundles that train on NIfTI volumes and segment them."""

__version__ = "0.1.0"
