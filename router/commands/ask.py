"""`penstock ask`: a routed answer, with the path it took and what it cost."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator

from ..answer import Answer, AnswerChunk
from ..router import Router
from .shared import add_json, add_models, add_question, positive, print_json, question_of, wishes_of


class AskCommand:
    """Answers one question."""

    description = "Answers a question through the router; the path, confidence and cost go to standard error."
    example = 'penstock ask "What is 17 * 23?" --policy auto'

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what the command takes."""
        add_question(parser)
        parser.add_argument("--max-tokens", type=positive, metavar="N", help="longest answer, in tokens")
        parser.add_argument("--no-stream", action="store_true", help="print the answer only when it is whole")
        add_models(parser)
        add_json(parser)

    def run(self, options: argparse.Namespace) -> int:
        """Prints the answer."""
        params = {} if options.max_tokens is None else {"max_tokens": options.max_tokens}
        text, wishes = question_of(options), wishes_of(options)
        with Router.from_config(options.models) as router:
            if options.json or options.no_stream:
                answer = router.ask(text, policy=options.policy, wishes=wishes, **params)
            else:
                answer = _printed(router.stream(text, policy=options.policy, wishes=wishes, **params))
        if options.json:
            print_json({"text": answer.text, **answer.as_dict()})
            return 0
        if options.no_stream:
            print(answer.text)
        # An answer of a backend that was asked for by name is not judged.
        judged = "" if math.isnan(answer.confidence) else f"confidence {answer.confidence:.2f}, "
        story = f"path {answer.path}, {judged}cost ${answer.cost_usd:.6f}"
        print(f"[{story}, {answer.latency_s:.2f} s]", file=sys.stderr)
        return 0


def _printed(chunks: Iterator[AnswerChunk]) -> Answer:
    """Returns the answer that the last piece carries; prints the text of each as it comes."""
    for chunk in chunks:
        print(chunk.text, end="", flush=True)
        if chunk.answer is not None:
            print()
            return chunk.answer
    raise AssertionError("a stream ends with its answer")
