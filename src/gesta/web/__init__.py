"""`gesta studio`: a local server and its page that record, check, train, try and export gestures of one folder."""
