"""The file of one conversation: LangGraph's SQLite checkpoints, one thread for each turn.

While a turn is under way its file holds every finished step, so a killed process loses the step it was in and nothing
else. After the turn one checkpoint of it is left: a conversation grows with what was said, not with how often. One
process at a time has a conversation open; the operating system gives the file free when that process dies.

A file may come from elsewhere, so only plain values are read from it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reasonir_agent.errors import StoreError, boundary, missing_extra

if TYPE_CHECKING:
    from aiosqlite import Connection
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

SUFFIX: Final = ".sqlite"
_DIGITS: Final = 6


class Session:
    """An open file; `open` makes one.

    Attributes:
        file: where it lies.
        saver: LangGraph's checkpointer over it.
    """

    def __init__(self, file: Path, saver: AsyncSqliteSaver) -> None:
        self.file, self.saver = file, saver

    @classmethod
    async def open(cls, file: Path) -> Session:
        """Open a conversation's file, or begin one.

        Raises:
            StoreError: another process has it open, it is no such file, or the folder cannot be written to.
        """
        try:
            import aiosqlite
            from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
            from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
        except ModuleNotFoundError as cause:
            raise missing_extra("agent", "keeping a conversation", cause) from cause
        what = f"opening the conversation {file}"
        with boundary(StoreError, what, catch=(OSError,)):
            await asyncio.to_thread(_make, file)
        with boundary(StoreError, what, catch=(sqlite3.Error,)):
            connection = await aiosqlite.connect(file, timeout=1.0)
            try:
                await connection.execute("PRAGMA locking_mode=EXCLUSIVE")
                await _refuse_others(connection, file)
                saver = AsyncSqliteSaver(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
                await saver.setup()
                await connection.execute("DELETE FROM checkpoints WHERE 0")  # a write takes the lock
                await connection.commit()
            except BaseException as failed:
                await connection.close()
                if isinstance(failed, sqlite3.OperationalError) and "locked" in str(failed):
                    raise StoreError(
                        f"the conversation {file} is open in another process; end that one first"
                    ) from None
                raise
        return cls(file, saver)

    async def close(self) -> None:
        """Close the file; one in which nothing was said is removed."""
        is_empty = not await self.turns()
        await self.saver.conn.close()
        if is_empty:
            self.file.unlink(missing_ok=True)

    async def turns(self) -> list[str]:
        """The threads of all turns, oldest first."""
        rows = await self._rows("SELECT DISTINCT thread_id FROM checkpoints ORDER BY thread_id")
        return [str(row[0]) for row in rows if str(row[0]).isdecimal()]

    async def next_turn(self) -> str:
        """The thread of a turn that begins."""
        turns = await self.turns()
        return f"{int(turns[-1]) + 1 if turns else 1:0{_DIGITS}}"

    async def tidy(self, turn: str) -> None:
        """Keep of a finished turn its last checkpoint."""
        async with self.saver.lock:
            for table in ("checkpoints", "writes"):
                await self.saver.conn.execute(
                    f"DELETE FROM {table} WHERE thread_id = ? AND (checkpoint_ns <> '' OR checkpoint_id <> "  # noqa: S608
                    "(SELECT MAX(checkpoint_id) FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = ''))",
                    (turn, turn),
                )
            await self.saver.conn.commit()

    async def forget(self, turn: str) -> None:
        """Remove a turn."""
        await self.saver.adelete_thread(turn)

    async def _rows(self, query: str) -> list[Any]:
        async with self.saver.lock, self.saver.conn.execute(query) as cursor:
            return list(await cursor.fetchall())


def _make(file: Path) -> None:
    """What was said is nobody else's business."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)


async def _refuse_others(connection: Connection, file: Path) -> None:
    """A database of something else is left as it is."""
    async with connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'") as cursor:
        tables = {str(row[0]) for row in await cursor.fetchall()}
    if tables and "checkpoints" not in tables:
        raise StoreError(f"{file} is a database of something else, not a conversation; name another file")
