"""The recipe of what ships for the cold start: difficulty and ability as public traces show them."""
