"""A judge is a large model that grades documents: how it is asked, and by what it is served."""
