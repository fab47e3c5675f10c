"""Image models: small residual networks that read handwritten digits."""
