"""Workers run apps. `base` is the contract, the other modules keep it on one machine."""
