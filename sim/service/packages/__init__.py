"""Package files: upload, inspection, storage, signed links, downloads."""
