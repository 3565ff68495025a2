#!/bin/sh
# aio-pika 10.2.1 (aiormq 7.2.4), RabbitMQ: a passive declare on a robust channel does not ask the broker again.
#
# Guess beforehand: declare_queue(name, passive=True) is a Queue.Declare to the broker each time, and its
# declaration_result.message_count is the queue's depth now, as it is with pika and with a plain channel.
# Seen: on a plain channel it is: 1, 2, 3 after each of three messages. On a channel of connect_robust the queue that
# was declared before comes back with its first result, 0, 0, 0: no error says that nobody was asked. A watch of a
# queue's depth must go by the channel below (`channel.get_underlay_channel()`) or a connection that is not robust.
#
# Needs a RabbitMQ: BROKER_URL, or guest on 127.0.0.1. Uses one queue that is removed. Fails if what is seen changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aio-pika==10.2.1 aiormq==7.2.4
cat >"$folder/seen.py" <<'PYTHON'
import asyncio
import os
import uuid

import aio_pika

URL = os.environ.get("BROKER_URL", "amqp://guest:guest@127.0.0.1/")
NAME = f"finding-{uuid.uuid4().hex}"


async def depths(connect):
    async with await connect(URL) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(NAME, auto_delete=False)
        seen = []
        for _ in range(3):
            await channel.default_exchange.publish(aio_pika.Message(b"x"), routing_key=NAME)
            again = await channel.declare_queue(NAME, passive=True)
            seen.append(again.declaration_result.message_count)
        await queue.delete(if_unused=False, if_empty=False)
        return seen


async def main():
    plain = await depths(aio_pika.connect)
    robust = await depths(aio_pika.connect_robust)
    print(f"messages in the queue after each of three: plain channel {plain}, robust channel {robust}")
    return plain == [1, 2, 3] and robust != [1, 2, 3]


raise SystemExit(0 if asyncio.run(main()) else 1)
PYTHON
"$folder/venv/bin/python" "$folder/seen.py"
