"""Personal data in texts. Imports ``text`` alone."""
