"""The images, built without a container engine: see `python3 -m images --help`."""
