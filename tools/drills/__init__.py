"""Work that is killed, starved and disturbed at random moments, resumed, and compared with undisturbed work."""
