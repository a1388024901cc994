"""Whether a log may begin. An empty database is a new one, or one that was lost: whoever appended to that would fork its log."""

import asyncio

from aiokafka import TopicPartition

from chassis.checkpoints import file_of, read_file, topic_at
from chassis.clients import consuming
from chassis.kafka import topic_of
from chassis.relay import how_it_lies
from chassis.settings import Settings


class LostLogError(Exception):
    """The database is empty, but the log was there: its entries have to be brought back before anything is appended."""


async def traces_of(log: str, settings: Settings) -> str:
    """What is still known of a log whose database is empty; nothing for one that never was.

    Raises a transient error while the broker does not answer, for then nobody can tell.
    """
    folder = settings.checkpoint_folder
    if folder and await asyncio.to_thread(read_file, file_of(folder, log)):
        return f"its newest checkpoint lies in {file_of(folder, log)}"
    async with consuming(settings.kafka) as reader:
        lies = await how_it_lies(TopicPartition(topic_of(log), 0), reader)
    if lies.last:
        return f"its topic tells {lies.last} entries"
    async with topic_at(settings.kafka) as topic:
        return "a checkpoint of it was told" if await topic.newest(log) else ""
