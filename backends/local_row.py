"""One call to a local model: what it asks for, and what it has got so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .errors import BackendError, ContextTooLong, InvalidRequest
from .local_model import LocalModel
from .local_prompt import render_prompt
from .local_sampling import Choice, Sampler, read_sampling
from .local_text import TranscriptWriter
from .spec import BackendSpec
from .thinking import CLOSING, OPENING
from .types import Chunk, Completion, Query, Usage

OUTPUT_TOKENS = 4096  # where neither the caller, nor models.yaml, nor the model sets an end


class Call:
    """A query on its way to the thread that owns the model, and the way back."""

    __slots__ = ("_deliver", "is_cancelled", "query", "spec")

    def __init__(self, query: Query, spec: BackendSpec, deliver: Callable[[Chunk | BackendError], object]) -> None:
        self.query = query
        self.spec = spec
        self.is_cancelled = False  # set by one thread and read by the other; nothing is left to lock
        self._deliver = deliver

    def cancel(self) -> None:
        """Ends the call; its row leaves the batch before the next token."""
        self.is_cancelled = True

    def deliver(self, event: Chunk | BackendError) -> None:
        """Hands a piece, the completion or the error to the caller, unless it has gone."""
        if self.is_cancelled:
            return
        try:
            self._deliver(event)
        except RuntimeError:  # the caller's event loop has been closed
            self.is_cancelled = True


class Row:
    """One text being continued."""

    def __init__(
        self,
        *,
        call: Call,
        prompt: list[int],
        sampler: Sampler,
        writer: TranscriptWriter,
        max_tokens: int,
        ends: frozenset[int],
        reasoning_budget: int | None = None,
        closing: Sequence[int] = (),
    ) -> None:
        self.call = call
        self.prompt = prompt
        self.sampler = sampler
        self._writer = writer
        self._max_tokens = max_tokens
        self._ends = ends
        self._budget = reasoning_budget
        self._closing = list(closing)  # the tokens that end the reasoning; each is forced once
        self._n_tokens = 0
        self._fresh: list[Choice] = []  # that no piece has told yet
        self._is_finished = False

    @property
    def is_done(self) -> bool:
        """Whether no more tokens are wanted."""
        return self._is_finished or self.call.is_cancelled

    def directed(self, token: int) -> int:
        """Returns the token to take for the one that was chosen: where the budget is spent, what ends the reasoning.

        Reference: budget forcing, Muennighoff et al. 2025 (s1), arXiv:2501.19393, section 3.1.
        """
        is_spent = self._budget is not None and self._n_tokens >= self._budget
        return self._closing.pop(0) if is_spent and self._closing and self._writer.is_reasoning else token

    def accept(self, choice: Choice) -> None:
        """Takes the next token and delivers what it makes certain; the first one always shows a sign of life."""
        self._n_tokens += 1
        if choice.token in self._ends:
            self._finish("stop")
            return
        reasoning, text = self._writer.push(choice)
        self._fresh.append(choice)
        if reasoning or text or self._n_tokens == 1:
            _, logprobs, entropies, margins = zip(*self._fresh, strict=True)
            self.call.deliver(
                Chunk(reasoning=reasoning, text=text, logprobs=logprobs, entropies=entropies, margins=margins)
            )
            self._fresh.clear()
        if self._writer.is_stopped:
            self._finish("stop")
        elif self._n_tokens >= self._max_tokens:
            self._finish("length")

    def _finish(self, reason: str) -> None:
        """Delivers the rest and the completion; its times are for the caller's clock to tell."""
        self._is_finished = True
        reasoning, text = self._writer.close()
        if reasoning or text:
            self.call.deliver(Chunk(reasoning=reasoning, text=text))
        transcript = self._writer.transcript()
        completion = Completion(
            text=transcript.text,
            reasoning=transcript.reasoning,
            finish_reason=reason,
            usage=Usage(
                input_tokens=len(self.prompt),
                output_tokens=self._n_tokens,
                reasoning_tokens=transcript.reasoning_tokens,
            ),
            logprobs=transcript.logprobs,
            reasoning_logprobs=transcript.reasoning_logprobs or None,
            entropies=transcript.entropies,
            margins=transcript.margins,
            tokens=transcript.tokens,
            model=self.call.spec.model,
        )
        self.call.deliver(Chunk(completion=completion))


def open_row(call: Call, model: LocalModel) -> Row:
    """Returns the row that a call starts as.

    Raises:
        InvalidRequest: the messages or fields are not what this model can do.
        ContextTooLong: prompt and answer do not fit together.
    """
    params, spec = call.query.params, call.spec
    _refuse_unsupported(params, spec)
    stops = _read_stops(params, spec)
    sampling = read_sampling(params, model.defaults, backend=spec.name)
    prompt_text = render_prompt(call.query, spec, model)
    prompt: list[int] = model.tokenizer(prompt_text, add_special_tokens=False)["input_ids"]
    if not prompt:
        raise InvalidRequest("messages: the model's chat template makes an empty prompt of them", backend=spec.name)
    tokenizer = model.tokenizer

    def decode(tokens: list[int]) -> str:
        text: str = tokenizer.decode(tokens, clean_up_tokenization_spaces=False)
        return text

    return Row(
        call=call,
        prompt=prompt,
        sampler=Sampler(sampling, prompt),
        writer=TranscriptWriter(
            decode,
            hidden_tokens=model.hidden_tokens,
            starts_inside=prompt_text.rstrip().endswith(OPENING),
            stops=stops,
        ),
        max_tokens=_read_max_tokens(params, spec, model, len(prompt)),
        ends=model.end_tokens,
        reasoning_budget=call.query.reasoning_budget,
        closing=tokenizer(CLOSING, add_special_tokens=False)["input_ids"],
    )


def _refuse_unsupported(params: Mapping[str, Any], spec: BackendSpec) -> None:
    """Raises InvalidRequest for fields that would change what the answer is, and that a local model cannot heed."""
    if params.get("n") not in (None, 1):
        raise InvalidRequest(f"n: expected 1, not {params['n']!r}; a local model gives one answer", backend=spec.name)
    wanted = params.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, Mapping) else wanted
    if kind not in (None, "text"):
        raise InvalidRequest(f"response_format: expected text, not {kind!r}", backend=spec.name)


def _read_stops(params: Mapping[str, Any], spec: BackendSpec) -> tuple[str, ...]:
    stop = params.get("stop")
    stops = (stop,) if isinstance(stop, str) else stop or ()
    if not isinstance(stops, list | tuple) or not all(isinstance(text, str) and text for text in stops):
        raise InvalidRequest(f"stop: expected text or a list of texts, none empty, not {stop!r}", backend=spec.name)
    return tuple(stops)


def _read_max_tokens(params: Mapping[str, Any], spec: BackendSpec, model: LocalModel, n_prompt: int) -> int:
    """Returns how long the answer may get.

    A length that the caller asks for has to fit the context; a default one is cut to the room there is.
    """
    asked = None
    for name in ("max_completion_tokens", "max_tokens"):
        value = params.get(name)
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidRequest(f"{name}: expected a whole number from 1, not {value!r}", backend=spec.name)
            asked = asked or value
    wanted = asked or model.default_output_tokens or spec.limits.max_output_tokens or OUTPUT_TOKENS
    wanted = min(wanted, spec.limits.max_output_tokens or wanted)
    windows = [limit for limit in (spec.limits.context_tokens, model.context_tokens) if limit]
    if not windows:
        return wanted
    room = min(windows) - n_prompt
    if room < (wanted if asked else 1):
        raise ContextTooLong(
            f"the prompt has {n_prompt} tokens and the answer may have {wanted}; the context holds {min(windows)}",
            backend=spec.name,
        )
    return min(wanted, room)
