"""Keys for tests: an owner's account with its project, and what handles keys and projects there."""

from typing import Self

import msgspec
from households import NOW_NS, ORIGIN, House

from gateway.accounts.audit import Actor, Occasion, read_entries
from gateway.accounts.directory import KeyDirectory, KeyFault, KeyRecord
from gateway.accounts.keyring.project_keys import FreshKey, Maker, ProjectKeys
from gateway.accounts.keyring.projects import Projects
from gateway.accounts.keyring.rights import KeyWish
from gateway.accounts.keys import KeyDigester
from gateway.accounts.tenancy.people import SignedIn

DIGESTER = KeyDigester(bytes(32))
PROVIDERS = frozenset({"openai", "groq"})


class Ring:
    """What the tests of keys use, on one database."""

    def __init__(self, house: House, owner: SignedIn, directory: KeyDirectory, project_id: str) -> None:
        self.house, self.database = house, house.database
        self.owner = owner
        self.directory = directory
        self.project_id = project_id
        self.keys = ProjectKeys(house.database, DIGESTER, directory.refresh)
        self.projects = Projects(house.database, self.keys, PROVIDERS, directory.refresh)

    @classmethod
    async def make(cls, house: House) -> Self:
        """Register Ann and find her project."""
        ann = await house.register("ann")
        ring = cls(house, ann, KeyDirectory(house.database, DIGESTER), "")
        await ring.directory.refresh()
        (project,) = await ring.projects.list_projects(ann.person.account_id, has_operators=False)
        ring.project_id = project.project_id
        return ring

    @property
    def account_id(self) -> str:
        """Ann's."""
        return self.owner.person.account_id

    def at(self, who: SignedIn | None = None, now_ns: int = NOW_NS) -> Occasion:
        """Somebody acts in Ann's account."""
        actor = Actor(kind="user", actor_id=(who or self.owner).person.user_id, origin=ORIGIN)
        return Occasion(actor=actor, account_id=self.account_id, now_ns=now_ns)

    def by(self, who: SignedIn | None = None) -> Maker:
        """A person as a maker of keys, by default Ann."""
        return Maker(person=(who or self.owner).person)

    async def create(self, maker: Maker | None = None, **wish: object) -> FreshKey:
        """Make a key of Ann's project."""
        wanted = msgspec.structs.replace(KeyWish(), **wish)
        return await self.keys.create(maker or self.by(), self.project_id, wanted, self.at())

    def find(self, fresh: FreshKey, now_ns: int = NOW_NS) -> KeyRecord | KeyFault:
        """What a call with the key finds."""
        return self.directory.find(fresh.key.encode(), now_ns)

    def record(self, fresh: FreshKey) -> KeyRecord:
        """The same, of a key that is honoured."""
        found = self.find(fresh)
        assert isinstance(found, KeyRecord), found
        return found

    async def list_deeds(self) -> list[tuple[str, str, str]]:
        """The audit log of Ann's account: who did what to which thing."""
        async with self.database.read() as connection:
            entries = await read_entries(connection, self.account_id, 100)
        return [(entry.actor_id or "", entry.action, entry.object_id) for entry in entries]
