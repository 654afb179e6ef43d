"""Workers that Ray places, on any machine of its cluster (docs/adr/0043-workers-on-ray.md)."""
