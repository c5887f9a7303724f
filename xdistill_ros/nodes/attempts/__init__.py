"""Attempts on one arm, one after another, from a thread that is not the executor's: of trials and demonstrations."""
