"""`sgw top`: what a gateway does at this moment. Fetching, reckoning and drawing know nothing of one another."""
