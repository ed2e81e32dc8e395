"""Ways to other services, one module for each kind of broker; import the one that you use."""
