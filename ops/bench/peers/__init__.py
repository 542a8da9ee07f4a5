"""What our queue is measured against, each set up as its documentation says. Nothing of the product imports this."""

STOCK = "stock"
"""The namespace of stock Dramatiq on Redis, so that it is not ours."""

BEGAN = f"{STOCK}:began"
"""A hash on Redis: number of a message -> when it began, on the monotonic clock of the machine."""
