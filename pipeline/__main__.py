"""``python -m pipeline`` is ``unet-bundles``."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
