"""How fast a model runs here, against what this machine could do at best."""
