"""The policy and the contracts as frozen types: the only form in which rules travel through the platform."""
