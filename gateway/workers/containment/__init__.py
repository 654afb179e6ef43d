"""How the workers of an app are kept to themselves (docs/security.md, docs/adr/0037-containment.md)."""
