"""Named-entity models: small BERT encoders that find people, organisations and places."""
