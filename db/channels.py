"""The channels that processes wait on. A notification carries nothing: the rows say it all."""

# Schedulers wait on this one; whoever changes what they decide by notifies in the same transaction.
SETTLED_CHANNEL = "muhurat_settled"
