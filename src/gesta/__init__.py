"""gesta: from labelled recordings of people to small, fast models that recognise gestures, signs and actions."""
