"""A subscription that is read when its value is needed, instead of when the executor gets around to it.

For what a loop of its own must know up to date: ROS time, the arm's measured state. A message that waited behind a
long callback would look old, or everything else would look too new.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.subscription import Subscription


class _NotByExecutor(CallbackGroup):
    """Entities of this group are never waited for, nor called back."""

    def can_execute(self, _entity: Any) -> bool:
        return False

    def beginning_execution(self, _entity: Any) -> bool:
        return False

    def ending_execution(self, _entity: Any) -> None: ...


class Polled:
    """Takes a subscription out of its executor's hands. Thread-safe."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        # its events too: in Fast DDS they share a condition with its data, so that an executor that waits for them
        # wakes, finds nothing to do, and wakes again for as long as data lies untaken
        for entity in (subscription, *subscription.event_handlers):
            entity.callback_group = _NotByExecutor()
        self._lock = threading.Lock()

    def take(self) -> Iterator[tuple[Any, Any]]:
        """What has arrived since it was last asked, oldest first: messages, or their bytes if asked for, with info."""
        made = self._subscription
        with self._lock, made.handle:  # which is kept from being destroyed meanwhile
            while (taken := made.handle.take_message(made.msg_type, made.raw)) is not None:
                yield taken
