"""The frozen video models that adapters belong to, a folder each."""
