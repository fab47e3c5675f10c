"""What the files beside tokenizer.json say about tokens: read, followed as transformers does, or refused."""
