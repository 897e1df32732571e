"""Anthropic's SDK at `/serving-endpoints/anthropic` or another base address in BASE: messages, streams, tools, errors."""

import asyncio
import os

import anthropic
from steps import HELLO, TOKEN, TOOL, refusal, step, tell, walk

BASE = os.environ["BASE"]
TOOLS = [{"name": TOOL["name"], "description": TOOL["description"], "input_schema": TOOL["parameters"]}]


def client(model, **options):
    return anthropic.Anthropic(base_url=BASE.format(model=model), **{"api_key": TOKEN, "max_retries": 0, **options})


def say(model, **wish):
    return client(model).messages.create(model=model, **{"max_tokens": 50, "messages": HELLO, **wish})


def text(message):
    return "".join(block.text for block in message.content if block.type == "text")


def calls(message):
    return [[block.id, block.name, block.input] for block in message.content if block.type == "tool_use"]


@step
def whole(models):
    """Through an endpoint of Anthropic's and one of another vendor's."""
    seen = {}
    for model in models:
        answer = say(model, system="Be brief.", stop_sequences=["END"])
        seen[model] = [answer.type, answer.role, text(answer), answer.stop_reason, answer.usage.output_tokens]
    return seen


@step
def streamed(models):
    seen = {}
    for model in models:
        with client(model).messages.stream(model=model, max_tokens=50, messages=HELLO) as stream:
            pieces = list(stream.text_stream)
            final = stream.get_final_message()
        seen[model] = [pieces, text(final), final.stop_reason, final.usage.output_tokens]
    return seen


@step
def events(models):
    """What kinds there are, in order, without repetitions."""
    seen = {}
    for model in models:
        kinds = [event.type for event in say(model, stream=True)]
        seen[model] = [kind for at, kind in enumerate(kinds) if kind != "ping" and kind not in kinds[:at]]
    return seen


@step
def tools(models):
    seen = {}
    for model in ("claude-tools", "tools"):
        answer = say(model, tools=TOOLS, tool_choice={"type": "any"})
        with client(model).messages.stream(model=model, max_tokens=50, messages=HELLO, tools=TOOLS) as stream:
            streamed = stream.get_final_message()
        results = [{"type": "tool_result", "tool_use_id": one[0], "content": "21 degrees"} for one in calls(answer)]
        turn = [{"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]}]
        after = say(
            {"claude-tools": "claude", "tools": "talk"}[model],
            tools=TOOLS,
            messages=[*HELLO, *turn, {"role": "user", "content": results}],
        )
        seen[model] = [calls(answer), answer.stop_reason, calls(streamed), text(after)]
    return seen


@step
def thinking(models):
    answer = say("thinker", max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1024})
    after = say("thinker", messages=[*HELLO, {"role": "assistant", "content": answer.content}, *HELLO])
    return [[block.type for block in answer.content], answer.content[0].thinking, text(after)]


@step
def bearer_token(models):
    made = anthropic.Anthropic(base_url=BASE.format(model="claude"), api_key=None, auth_token=TOKEN, max_retries=0)
    return text(made.messages.create(model="claude", max_tokens=50, messages=HELLO))


@step
async def asynchronous(models):
    async with anthropic.AsyncAnthropic(base_url=BASE.format(model="claude"), api_key=TOKEN, max_retries=0) as made:
        wish = {"model": "claude", "max_tokens": 50, "messages": HELLO}
        answers = await asyncio.gather(*(made.messages.create(**wish) for _ in range(4)))
        async with made.messages.stream(**wish) as stream:
            return [sorted({text(answer) for answer in answers}), await stream.get_final_text()]


@step
def listed(models):
    made = client("claude").models
    return [all(model in [one.id for one in made.list()] for model in models), made.retrieve("claude").id]


@step
def failures(models):
    return {
        "unknown": refusal(lambda: say("nobody"))[:2],
        "token": refusal(
            lambda: client("claude", api_key="wrong").messages.create(model="claude", max_tokens=5, messages=HELLO)
        )[:2],
        "limited": refusal(lambda: say("claude-limited")),
        "limited elsewhere": refusal(lambda: say("limited"))[:2],
        "refused": refusal(lambda: say("refusing"))[:2],
        "no messages": refusal(lambda: say("claude", messages=None))[:2],
        "embeddings": refusal(lambda: say("embed"))[:2],
    }


@step
def a_stream_that_breaks(models):
    seen = {}
    for model in ("claude-cut", "cut"):
        pieces = []

        def read(model=model, pieces=pieces):
            with client(model).messages.stream(model=model, max_tokens=50, messages=HELLO) as stream:
                pieces.extend(stream.text_stream)

        seen[model] = [refusal(read)[0], "".join(pieces)]
    return seen


tell(walk(os.environ["MODELS"].split(",")) | {"version": anthropic.__version__})
