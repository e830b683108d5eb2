"""kcore.conformance: the records of what every op gives, and the tools that hold backends to them."""
