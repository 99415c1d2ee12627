"""The parts of `penstock collect`: asking with patience, keeping what came, counting."""
