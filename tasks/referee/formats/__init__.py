"""One module a format: from what a file holds to rows. Pure but for zip files."""
