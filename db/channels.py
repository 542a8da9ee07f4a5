"""The channels that processes wait on. A notification says when to look, and hardly more: the rows say it all."""

# Schedulers wait on this one; whoever changes what they decide by notifies in the same transaction.
SETTLED_CHANNEL = "muhurat_settled"
# Said with it in a replay while more is under way and nothing waits for what has ended: nobody need look at once.
MORE_UNDER_WAY = "more"
