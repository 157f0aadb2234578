"""Side by side with the peers, in one run: CPU time per request and per million spans."""
