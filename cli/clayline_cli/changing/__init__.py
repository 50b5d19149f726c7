"""What changed: asked, told, written and drawn."""
