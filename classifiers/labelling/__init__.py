"""Labels from a large model: what it is asked, who serves it, what it said and what that cost."""
