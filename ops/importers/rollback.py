"""Takes a batch back: exactly the rows that name it, and only where nothing was built on them."""

from sqlalchemy.ext.asyncio import AsyncSession

from db.accounts import AccountRepository
from db.audit_logs import AuditLogRepository
from db.import_batches import ImportBatchRepository
from db.import_undo import Told, UndoRepository
from db.import_values import Target
from ops.importers.errors import BuiltUponError


async def roll_back_batch(session: AsyncSession, batch_id: int, actor: str, told: Told = lambda *_: None) -> int:
    """Take a batch back under its account's lock. Returns how many rows went.

    Raises LookupError when there is no batch to take back, BuiltUponError.
    """
    batches = ImportBatchRepository(session)
    batch = await batches.show(batch_id)
    if batch is None:
        raise LookupError(f"there is no batch {batch_id}; `muhurat import list` has them")
    if batch["dry_run"] or batch["state"] in ("rolled_back", "broken"):
        state = "a dry run" if batch["dry_run"] else str(batch["state"]).replace("_", " ")
        raise LookupError(f"batch {batch_id} is {state}: it left nothing to take back")
    target = Target(batch["user_id"], batch["account_id"], batch["code"], batch["mode"], batch["venue"])
    await AccountRepository(session).lock(target.user_id, target.account_id)
    gone = await take_back(session, target, batch_id, told)
    await batches.rolled_back(batch_id, actor)
    changes = {"source": batch["source"], "rows": gone}
    await AuditLogRepository(session).record(
        actor, "rollback", "batch", batch_id, user_id=target.user_id, changes=changes
    )
    return gone


async def take_back(session: AsyncSession, target: Target, batch_id: int, told: Told = lambda *_: None) -> int:
    """Delete what a batch made and give its money back. Returns how many rows. Raises BuiltUponError.

    Call it under the account's lock.
    """
    undo = UndoRepository(session, target, batch_id)
    built = await undo.built_upon()
    if built:
        raise BuiltUponError(batch_id, built)
    return await undo.take_back(told)
