"""What was answered to commands: a command that comes again is answered from here, and not applied again."""

from __future__ import annotations

from ._model import KnobResult

# A replay older than that is behind the fence anyway.
_MAX_ANSWERS = 64


class Answers:
    def __init__(self) -> None:
        self._answers: dict[str, tuple[KnobResult, ...]] = {}

    def get(self, command_id: str) -> tuple[KnobResult, ...] | None:
        return self._answers.get(command_id)

    def set(self, command_id: str, results: tuple[KnobResult, ...]) -> None:
        self._answers[command_id] = results
        if len(self._answers) > _MAX_ANSWERS:
            del self._answers[next(iter(self._answers))]

    def amend(self, command_id: str, news: tuple[KnobResult, ...]) -> None:
        """A replay must not be told that a value is in force which no longer is."""
        answer = self._answers.get(command_id)
        if answer is None:
            return
        by_knob = {result.knob: result for result in news}
        self._answers[command_id] = tuple(by_knob.get(old.knob, old) for old in answer)
