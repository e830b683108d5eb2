"""The one training loop, and the steps that it runs."""
