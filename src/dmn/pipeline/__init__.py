"""What Snakemake and DVC ask: paths, sources, targets, the plan and the manifests."""
