"""The OpenAI SDK, 2.x or 3.x, against each base address in BASES (JSON). `{model}` in one stands for the model's name."""

import asyncio
import json
import os

import openai
from pydantic import BaseModel
from steps import HELLO, TOKEN, TOOLS, refusal, step, tell, walk


class City(BaseModel):
    city: str
    degrees: int


def sync(base, model, **options):
    return openai.OpenAI(base_url=base.format(model=model), api_key=TOKEN, **{"max_retries": 0, **options})


def chat(base, model, **wish):
    return sync(base, model).chat.completions.create(model=model, **{"messages": HELLO, **wish})


@step
def whole(base):
    answer = chat(base, "talk", temperature=0.5, max_tokens=20)
    (choice,) = answer.choices
    usage = answer.usage
    details = [usage.prompt_tokens_details.cached_tokens, usage.completion_tokens_details.reasoning_tokens]
    return [answer.object, choice.message.content, choice.finish_reason, usage.total_tokens, *details]


@step
def streamed(base):
    chunks = list(chat(base, "talk", stream=True))
    texts = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    finish = [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
    return [texts, finish, [c.usage.total_tokens for c in chunks if c.usage]]


@step
def streamed_with_usage(base):
    chunks = list(chat(base, "talk", stream=True, stream_options={"include_usage": True}))
    return [len(chunks[-1].choices), chunks[-1].usage.total_tokens, sum(1 for c in chunks if c.usage)]


@step
def choices_and_logprobs(base):
    answer = chat(base, "many", n=2, logprobs=True)
    return [[c.message.content for c in answer.choices], answer.choices[0].logprobs.content[0].logprob]


@step
def parallel_tools(base):
    answer = chat(base, "tools", tools=TOOLS, parallel_tool_calls=True, tool_choice="auto")
    message = answer.choices[0].message
    calls = [[c.id, c.function.name, json.loads(c.function.arguments)] for c in message.tool_calls]
    results = [{"role": "tool", "tool_call_id": c.id, "content": "21 degrees"} for c in message.tool_calls]
    after = chat(base, "talk", tools=TOOLS, messages=[*HELLO, message.model_dump(exclude_none=True), *results])
    return [calls, answer.choices[0].finish_reason, after.choices[0].message.content]


@step
def streamed_tools(base):
    with sync(base, "tools").chat.completions.stream(model="tools", messages=HELLO, tools=TOOLS) as stream:
        for _ in stream:
            pass
        message = stream.get_final_completion().choices[0].message
    return [[c.id, c.function.name, json.loads(c.function.arguments)] for c in message.tool_calls]


@step
def structured(base):
    made = sync(base, "shaped").chat.completions.parse(model="shaped", messages=HELLO, response_format=City)
    return made.choices[0].message.parsed.model_dump()


@step
def reasoning(base):
    """As Databricks says it: a list of blocks."""
    answer = chat(base, "thinker").choices[0].message.content
    chunks = [c.choices[0].delta.content for c in chat(base, "thinker", stream=True) if c.choices]
    texts = "".join(c for c in chunks if isinstance(c, str))
    return [
        [block["type"] for block in answer],
        answer[0]["summary"][0]["text"],
        texts,
        any(isinstance(c, list) for c in chunks),
    ]


@step
def image(base):
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    said = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, part]}]
    return chat(base, "talk", messages=said).choices[0].message.content


@step
def responses(base):
    client = sync(base, "talk")
    answer = client.responses.create(model="talk", input="Hi", instructions="Be brief", max_output_tokens=64)
    return [answer.output_text, answer.status, answer.usage.total_tokens]


@step
def responses_streamed(base):
    client = sync(base, "talk")
    events = list(client.responses.create(model="talk", input=HELLO, stream=True))
    deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
    with client.responses.stream(model="talk", input="Hi") as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    return ["".join(deltas), events[0].type, events[-1].type, events[-1].response.usage.total_tokens, final.output_text]


@step
def responses_tools(base):
    flat = [{"type": "function", **TOOLS[0]["function"]}]
    answer = sync(base, "tools").responses.create(model="tools", input="Hi", tools=flat)
    return [[item.call_id, item.name, json.loads(item.arguments)] for item in answer.output]


@step
def embeddings(base):
    client = sync(base, "embed")
    packed = client.embeddings.create(model="embed", input=["a", "b"])
    plain = client.embeddings.create(model="embed", input="a", encoding_format="float")
    return [[d.embedding for d in packed.data], plain.data[0].embedding, packed.usage.prompt_tokens]


@step
def completions(base):
    client = sync(base, "complete")
    answer = client.completions.create(model="complete", prompt="Once", max_tokens=9)
    chunks = list(client.completions.create(model="complete", prompt="Once", stream=True))
    return [answer.choices[0].text, answer.usage.total_tokens, "".join(c.choices[0].text for c in chunks if c.choices)]


@step
def other_vendors(base):
    """Whole and streamed, through endpoints of every provider."""
    seen = {}
    for model in os.environ["VENDORS"].split(","):
        answer = chat(base, model, max_tokens=50)
        chunks = list(chat(base, model, stream=True, max_tokens=50))
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        seen[model] = [answer.choices[0].message.content, answer.usage.total_tokens, text]
    return seen


@step
async def asynchronous(base):
    async with openai.AsyncOpenAI(base_url=base.format(model="talk"), api_key=TOKEN, max_retries=0) as client:
        create = client.chat.completions.create
        answers = await asyncio.gather(*(create(model="talk", messages=HELLO) for _ in range(8)))
        stream = await create(model="talk", messages=HELLO, stream=True)
        text = "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])
        events = await client.responses.create(model="talk", input="Hi", stream=True)
        kinds = [event.type async for event in events]
    return [sorted({a.choices[0].message.content for a in answers}), text, kinds[0], kinds[-1]]


@step
def raw_headers(base):
    raw = sync(base, "talk").chat.completions.with_raw_response.create(model="talk", messages=HELLO)
    return {name: raw.headers.get(name) for name in ("served-model-name", "content-type")}


@step
def models(base):
    client = sync(base, "talk")
    listed = [m.id for m in client.models.list()]
    one = client.models.retrieve("talk")
    return [
        "talk" in listed and "embed" in listed,
        one.id,
        one.object,
        refusal(lambda: client.models.retrieve("no"))[:2],
    ]


@step
def failures(base):
    return {
        "unknown": refusal(lambda: chat(base, "nobody")),
        "token": refusal(lambda: chat(base, "talk", extra_headers={"Authorization": "Bearer wrong"})),
        "refused": refusal(lambda: chat(base, "refusing")),
        "limited": refusal(lambda: chat(base, "limited")),
        "down": refusal(lambda: chat(base, "broken")),
        "key": refusal(lambda: chat(base, "locked")),
        "task": refusal(lambda: sync(base, "embed").chat.completions.create(model="embed", messages=HELLO)),
        "no messages": refusal(lambda: chat(base, "talk", messages=None)),
    }


@step
def a_failure_that_passes_is_tried_again(base):
    return (
        sync(base, "flaky", max_retries=3)
        .chat.completions.create(model="flaky", messages=HELLO)
        .choices[0]
        .message.content
    )


@step
def a_stream_that_breaks(base):
    texts = []

    def read():
        for chunk in chat(base, "cut", stream=True):
            texts.extend(choice.delta.content or "" for choice in chunk.choices)

    return [refusal(read)[0], "".join(texts)]


@step
def governed(base):
    """Rate limits and guardrails of ours, as this client meets them."""
    with_address = [{"role": "user", "content": "I am bob@example.com"}]
    try:
        chat(base, "rationed")
    except openai.RateLimitError as error:
        limited = [
            error.status_code,
            error.body["message"] if error.body else str(error),
            error.response.headers["retry-after"],
        ]
    chunks = list(chat(base, "masked", stream=True))
    return {
        "limited": limited,
        "blocked": refusal(lambda: chat(base, "guarded", messages=with_address)),
        "blocked stream": refusal(lambda: list(chat(base, "guarded", messages=with_address, stream=True)))[:2],
        "let through": chat(base, "guarded").choices[0].message.content,
        "masked": chat(base, "masked").choices[0].message.content,
        "masked stream": "".join(c.choices[0].delta.content or "" for c in chunks if c.choices),
    }


@step
def a_stranger(base):
    client = openai.OpenAI(base_url=base.format(model="talk"), api_key=os.environ["STRANGER"], max_retries=0)
    ask = client.chat.completions.create
    return [
        [one.id for one in client.models.list()],
        ask(model="talk", messages=HELLO).choices[0].message.content,
        refusal(lambda: ask(model="tools", messages=HELLO))[:2],
        refusal(lambda: ask(model="many", messages=HELLO))[:2],
    ]


tell({base: walk(base) for base in json.loads(os.environ["BASES"])} | {"version": openai.__version__})
