"""Model families. A new one is a module here and a line in config.SUPPORTED_ARCHITECTURES."""
