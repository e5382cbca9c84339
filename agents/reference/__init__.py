"""The Reference agent: strategies, operators, and the text they are made of."""
