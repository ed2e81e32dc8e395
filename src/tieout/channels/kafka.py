"""Kafka: a topic is a topic, and a message is there when all replicas in sync have it. Needs the extra `kafka`."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import Message as KafkaMessage

from tieout.contracts import Delivery, Message

T = TypeVar("T")

log = logging.getLogger("tieout.channels")

CONNECT_SECONDS = 3.0
"""Longest that the cluster may take to say which topics it has."""

CONFIRM_SECONDS = 5.0
"""Longest that a message may take to be confirmed; then it is sent again."""

AHEAD_KILOBYTES = 2_048
"""Messages that the client reads ahead of whoever takes them, in kilobytes; one answer of a broker may come on top."""

FULL_MILLISECONDS = 20
"""How long the client waits, when it has read so far ahead, before it looks whether there is room again."""

RECEIVE_SECONDS = 0.5
"""How long one look for messages waits: closing waits for as long."""

SETTLE_SECONDS = 0.05
"""How long one look for what a group has still told us waits, before it is left."""

CLOSE_SECONDS = 10.0
"""Longest that leaving a group may take."""

ID_HEADER = "Tieout-Id"

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_REFUSALS = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - the client's name for what it knows without asking
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - the client's name for what it knows without asking
}
_MOVED = {KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID}


class KafkaChannel:
    """Publishes with the message's key, so that a key's messages are in one partition, in order.

    servers     addresses such as `broker-1:9092`
    group       the name under which the nodes of one service consume together: each message goes to one of them
    settings    settings of librdkafka besides, such as `{"security.protocol": "SASL_SSL", ...}`

    A message carries its id in the header `Tieout-Id`. A topic that there is not and is not made by itself, and a body
    that is too long for the cluster, are refused, and sent again later.
    """

    is_log = True
    """Each message has a number, and those that come again come in its order."""

    def __init__(self, *servers: str, group: str = "tieout", settings: Mapping[str, Any] | None = None) -> None:
        self.settings = {"bootstrap.servers": ",".join(servers), **(settings or {})}
        self.group = group
        self._producer: Producer | None = None

    async def open(self) -> None:
        """Nothing: the first message connects."""

    async def close(self) -> None:
        """Give the producer up; what it has not confirmed is sent again."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            await asyncio.to_thread(producer.flush, RECEIVE_SECONDS)

    async def publish(self, messages: Sequence[Message]) -> Sequence[str | None]:
        """Send messages at a time, and wait until each is confirmed; as `Channel.publish`."""
        if self._producer is None:
            milliseconds = int(CONFIRM_SECONDS * 1_000)
            self._producer = Producer(
                {
                    **self.settings,
                    "enable.idempotence": True,
                    "delivery.timeout.ms": milliseconds,
                    "topic.metadata.propagation.max.ms": milliseconds // 2,
                    "linger.ms": 5,
                }
            )
        verdicts = await asyncio.to_thread(_publish, self._producer, messages)
        if any(isinstance(verdict, KafkaError) for verdict in verdicts):
            await self.close()
            failed = next(verdict for verdict in verdicts if isinstance(verdict, KafkaError))
            raise TimeoutError(f"not confirmed: {failed.str()}")
        return [verdict for verdict in verdicts if not isinstance(verdict, KafkaError)]

    async def subscribe(self, topic: str) -> KafkaSubscription:
        """Consume a topic, from its beginning where the group is new."""
        subscription = KafkaSubscription(
            {
                "queued.max.messages.kbytes": AHEAD_KILOBYTES,
                "fetch.queue.backoff.ms": FULL_MILLISECONDS,
                **self.settings,
                "group.id": self.group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        try:
            await subscription.begin(topic)
        except BaseException:
            await subscription.close()
            raise
        return subscription


class KafkaSubscription:
    """A member of a group, in a thread of its own: librdkafka's calls wait."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._consumer = Consumer(dict(settings))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tieout-kafka")

    async def begin(self, topic: str) -> None:
        """Join the group; raise `ConnectionError` when the cluster does not answer."""
        try:
            await self._do(partial(self._consumer.list_topics, topic, CONNECT_SECONDS))
        except KafkaException as error:
            raise ConnectionError(str(error)) from error
        await self._do(partial(self._consumer.subscribe, [topic]))

    async def ends(self, topic: str) -> Mapping[str, int]:
        """The number of each partition's next message; raise `ConnectionError` when the cluster does not answer."""
        try:
            return await self._do(partial(_ends, self._consumer, topic))
        except KafkaException as error:
            raise ConnectionError(str(error)) from error

    async def receive(self, limit: int) -> Sequence[Delivery]:
        """Wait until something has come; as `Subscription.receive`."""
        while not (came := await self._do(partial(_received, self._consumer, limit))):
            pass
        return came

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Commit the offset behind the last of these in each partition.

        While the group shares its partitions out anew, as it does whenever a node comes or goes, nothing can be
        committed: these are delivered again, here or to another member.
        """
        ends = {(one.topic, one.receipt[0]): one.receipt[1] + 1 for one in deliveries}
        offsets = [TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()]
        try:
            await self._do(partial(self._consumer.commit, offsets=offsets, asynchronous=False))
        except KafkaException as error:
            if error.args[0].code() not in _MOVED:
                raise

    async def close(self) -> None:
        """Leave the group; others are given what was not acknowledged.

        A client that does not come back from that is left behind: the group notices that it is gone.
        """
        await self._do(lambda: None)  # what it was at has ended
        self._thread.shutdown(wait=False)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await _abandonable(partial(_leave, self._consumer))
        except TimeoutError:
            log.warning("the client of Kafka has not left its group in %g s, and is left behind", CLOSE_SECONDS)

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _leave(consumer: Consumer) -> None:
    """Leave the group.

    Partitions that were just given to us are answered for before that: once their group has ended, librdkafka waits for
    that answer for ever (its issue 4884), and its binding keeps the interpreter's lock, so that all stands still.
    """
    consumer.unsubscribe()
    while consumer.poll(SETTLE_SECONDS) is not None:
        pass
    consumer.close()


def _abandonable(work: Callable[[], None]) -> asyncio.Future[None]:
    """What comes of `work`, in a thread that the program does not wait for when it ends."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def tell(error: Exception | None) -> None:
        if not ended.done():
            ended.set_result(None) if error is None else ended.set_exception(error)

    def run() -> None:
        error = None
        try:
            work()
        except Exception as raised:  # noqa: BLE001 - whoever waits is told of it
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, error)

    Thread(target=run, name="tieout-kafka-close", daemon=True).start()
    return ended


def _publish(producer: Producer, messages: Sequence[Message]) -> list[str | KafkaError | None]:
    """What became of each: None, why it was refused, or an error that says nothing of it."""
    unanswered = KafkaError(KafkaError._MSG_TIMED_OUT)  # noqa: SLF001 - the client's own name
    verdicts: list[str | KafkaError | None] = [unanswered] * len(messages)

    def note(number: int, error: KafkaError | None, _: KafkaMessage) -> None:
        verdicts[number] = _verdict(error)

    for number, message in enumerate(messages):
        if not _TOPIC.fullmatch(message.topic):
            verdicts[number] = f"{message.topic!r} is no name of a topic"
            continue
        headers = [(name, value.encode()) for name, value in message.headers.items()]
        try:
            producer.produce(
                message.topic,
                message.body,
                key=message.key.encode() or None,
                headers=[*headers, (ID_HEADER, message.id.encode())],
                on_delivery=partial(note, number),
            )
        except KafkaException as error:
            verdicts[number] = _verdict(error.args[0])
    producer.flush(CONFIRM_SECONDS + 1)
    return verdicts


def _verdict(error: KafkaError | None) -> str | KafkaError | None:
    return f"{error.name()}: {error.str()}" if error is not None and error.code() in _REFUSALS else error


def _ends(consumer: Consumer, topic: str) -> dict[str, int]:
    partitions = consumer.list_topics(topic, CONNECT_SECONDS).topics[topic].partitions
    places = [TopicPartition(topic, number) for number in partitions]
    ends = [consumer.get_watermark_offsets(place, CONNECT_SECONDS) for place in places]
    return {str(place.partition): end[1] for place, end in zip(places, ends, strict=True)}


def _received(consumer: Consumer, limit: int) -> list[Delivery]:
    first = consumer.poll(RECEIVE_SECONDS)
    if first is None:
        return []
    came = [first, *(consumer.consume(limit - 1, 0.01) if limit > 1 else ())]
    for message in came:
        error = message.error()
        if error is not None:
            raise ConnectionError(error.str())
    return [_delivery(message) for message in came]


def _delivery(message: KafkaMessage) -> Delivery:
    given: Any = message.headers() or ()
    headers = {name: _text(value) for name, value in given}
    topic, partition, offset = message.topic() or "", message.partition(), message.offset()
    number = headers.pop(ID_HEADER, "") or f"{topic}:{partition}:{offset}"
    body: Any = message.value() or b""
    place = str(partition), offset or 0
    return Delivery(number, topic, _text(message.key()), headers, body, (partition, offset), place)


def _text(raw: Any) -> str:
    return (raw or b"").decode(errors="replace")
