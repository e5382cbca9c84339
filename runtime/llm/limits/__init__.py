"""Rate limits of one endpoint and model: declared, told by the endpoint, or learned from its answers."""
