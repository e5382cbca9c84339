"""Rate limits of one endpoint and model: declared, stated by the endpoint, or learned from its answers."""
