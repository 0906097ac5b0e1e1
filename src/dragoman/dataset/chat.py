"""An endpoint that speaks OpenAI's chat completions, through their client (extra ``[llm]``)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from ..errors import DragomanError, SourceError, UsageError
from .journal import Answer, Journal, key_of
from .prompts import Messages

RETRIES = 6  # of one request after 408, 409, 429, 5xx or a lost connection; pauses grow
TIMEOUT = 180.0  # seconds one request may take


class Chat:
    """A model behind an endpoint, with a journal: what was answered once is not asked again.

    ``asked`` counts the requests sent by this object, ``tokens`` those of all answers it gave,
    from the journal or not.

    Raises:
        UsageError: the extra ``[llm]`` is not installed.
    """

    def __init__(
        self, base_url: str, model: str, key: str, journal: Journal, *, workers: int = 4
    ) -> None:
        try:
            import openai
        except ModuleNotFoundError as err:
            raise UsageError(
                f"the generator llm needs {err.name}, which is not installed",
                hint="pip install 'dragoman[llm]'",
            ) from err
        self._openai = openai
        self._client = openai.OpenAI(
            base_url=base_url, api_key=key or "none", max_retries=RETRIES, timeout=TIMEOUT
        )
        self.base_url, self.model, self.workers = base_url, model, workers
        self._journal = journal
        self._given: dict[str, Answer] = {}
        self.asked = 0

    @property
    def tokens(self) -> tuple[int, int]:
        """Tokens sent and received for all answers given."""
        given = self._given.values()
        return sum(a.tokens_in for a in given), sum(a.tokens_out for a in given)

    @property
    def answers(self) -> int:
        return len(self._given)

    def ask(self, requests: Sequence[Messages]) -> list[str]:
        """The answers, in order; up to ``workers`` requests are under way at a time.

        Raises:
            UsageError: the endpoint refuses the key, the model or the request.
            SourceError: it cannot be reached, or still fails after :data:`RETRIES` retries. What
                was answered until then is in the journal.
        """
        keys = [key_of({"model": self.model, "messages": messages}) for messages in requests]
        open_ = {
            key: messages
            for key, messages in zip(keys, requests, strict=True)
            if self._journal.get(key) is None
        }
        with ThreadPoolExecutor(self.workers) as pool:
            running = [pool.submit(self._one, key, open_[key]) for key in open_]
        for one in running:  # all have ended, and are in the journal unless they failed
            one.result()
        self.asked += len(running)
        for key in keys:
            self._given[key] = cast("Answer", self._journal.get(key))
        return [self._given[key].text for key in keys]

    def _one(self, key: str, messages: Messages) -> None:
        try:
            reply = self._client.chat.completions.create(
                model=self.model, messages=cast("Any", messages)
            )
            text = reply.choices[0].message.content or ""
            usage = reply.usage
        except self._openai.OpenAIError as err:
            raise self._fault(err) from err
        except (AttributeError, IndexError, TypeError, ValueError) as err:
            raise SourceError(
                "the answer is no chat completion",
                where=self.base_url,
                hint="--base-url is where /chat/completions follows, mostly it ends in /v1",
            ) from err
        counted = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
        self._journal.put(key, Answer(text, *counted))

    def _fault(self, err: Exception) -> DragomanError:
        """The client's error as ours: 4xx are the caller's to mend, anything else may pass."""
        status = getattr(err, "status_code", None)
        what = f"the endpoint says {status}: {_said(err)}" if status else f"no answer: {err}"
        if status in (400, 401, 403, 404, 405, 422):
            hint = "check --base-url, --model and the key"
            return UsageError(what, where=self.base_url, hint=hint)
        hint = "what was answered is in the journal: the same command goes on from there"
        return SourceError(what, where=self.base_url, hint=hint)


def _said(err: Exception) -> str:
    body = getattr(err, "body", None)
    text = body.get("message") if isinstance(body, dict) else None
    return str(text or err)[:300]
