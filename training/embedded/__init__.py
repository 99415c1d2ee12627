"""The embedded models: questions with computed answers, three small language models trained on them, their report."""
