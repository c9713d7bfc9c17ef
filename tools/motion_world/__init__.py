"""Random captioned clips with their exact flow: what the built-in MiraMo learns from and is measured by."""
