"""What a team said and did, as one page: collect (reads) → model (pure) → html, md or json (pure)."""
