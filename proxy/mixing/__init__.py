"""From kept documents to token files: mixes, the held-out split, the tokenizer and sampling."""
