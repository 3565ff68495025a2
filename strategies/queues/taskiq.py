"""`taskiq`: tasks over Redis or RabbitMQ; their results lie in Redis, where the handler asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asyncdb_bench import KEPT_S, QueueKnobs, QueueStrategy, aio_pika_url, knob, waits


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskiqKnobs(QueueKnobs):
    """What carries the tasks, and how often the handler asks for a result."""

    over: str = knob("redis", choices=("redis", "rabbitmq"), help="what carries the tasks")
    wait: str = waits("wait_result() asks each 5 ms", "it asks each 0.2 s, as it is")


class Taskiq(QueueStrategy[TaskiqKnobs]):
    """Results are told to expire, which they do not by themselves."""

    name = "taskiq"
    summary = "a taskiq task per request; the handler polls for its result"
    packages = (*QueueStrategy.packages, "taskiq", "taskiq-redis", "taskiq-aio-pika")
    Knobs = TaskiqKnobs
    waits_in = "LLEN {queue}"

    async def connect(self) -> None:
        import taskiq_aio_pika as amqp
        from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

        own, url = self.context.queue, self.carrier.url
        if self.knobs.over == "redis":
            # redis-py's 5 s would end a worker that has nothing to do
            self.broker: Any = ListQueueBroker(url, queue_name=own, socket_timeout=None)
        else:
            place, dead = amqp.Exchange(name=f"{own}.tasks"), amqp.Queue(name=f"{own}.dead_letter")
            options: Any = {"exchange": place, "dead_letter_queue": dead}
            self.broker = amqp.AioPikaBroker(aio_pika_url(self.carrier), **options)
            self.broker.with_queue(amqp.Queue(name=own))
        kept: Any = {"result_ex_time": KEPT_S, "prefix_str": own}
        self.broker.result_backend = RedisAsyncResultBackend(self.store.url, **kept)
        self.broker.is_worker_process = self.in_worker
        self.closing.push_async_callback(self.broker.shutdown)
        await self.broker.startup()

    async def call(self, task: str) -> Any:
        from taskiq.kicker import AsyncKicker

        sent = await AsyncKicker[..., str]("run", self.broker, {}).kiq(task)
        return (await sent.wait_result(self.often_s(0.2))).return_value

    async def work(self, run: Callable[[str], Any], ready: Callable[[], object]) -> None:
        from taskiq.receiver import Receiver

        self.broker.register_task(run, "run")
        options: Any = {"run_startup": False, "max_async_tasks": self.knobs.tasks_each}
        ready()
        await self.serve_again(lambda told: Receiver(self.broker, **options).listen(told))
