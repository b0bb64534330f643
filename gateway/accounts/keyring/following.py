"""Keys follow the role of the person who made them: none ever may more than its maker may now.

Whoever leaves an account takes the keys along that they made, since they know them; whoever steps down leaves keys that
may no more than they may now. Keys that such keys made go the same way.

Failure behavior: everything happens inside the transaction that changes the role: both are so, or neither.
"""

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts import store
from gateway.accounts.audit import Occasion, note
from gateway.accounts.keyring import keys_store
from gateway.accounts.keyring.rights import rights_of_person
from gateway.accounts.tenancy.roles import Role


async def follow_role(connection: AsyncConnection, user_id: str, role: Role | None, occasion: Occasion) -> None:
    """Bring the keys that a member made under their role in the occasion's account, inside the caller's transaction.

    None: they are no member any more, and their keys end.
    """
    # First: a key that its maker is just making is then there, or finds them as what they are now.
    revision = await store.take_revision(connection)
    made = await keys_store.list_made_by(connection, occasion.account_id, user_id)
    if role is None:
        if made:
            await keys_store.revoke_keys(connection, [key.key_id for key in made], occasion.now_ns, revision)
        for key in made:
            await note(connection, occasion, "key.revoke", key.key_id, "its maker left")
        return
    rights = rights_of_person(user_id, role)
    scopes, may_manage = rights.scopes, rights.may_manage
    stronger = [key for key in made if not key.scopes <= scopes or (key.is_managing and not may_manage)]
    for key in stronger:
        weaker = msgspec.structs.replace(key, scopes=key.scopes & scopes, is_managing=key.is_managing and may_manage)
        await keys_store.update_key(connection, weaker, revision)
        await note(connection, occasion, "key.narrow", key.key_id, f"its maker is {role}")
