"""What the scripts of clients share: steps that are all taken even if one fails, and what was seen, printed as JSON.

Runs in clients' environments, on any Python they run on.
"""

import asyncio
import inspect
import json
import os
import sys
import traceback

HOST = os.environ["DATABRICKS_HOST"]
TOKEN = os.environ["DATABRICKS_TOKEN"]
HELLO = [{"role": "user", "content": "Hi"}]
TOOL = {
    "name": "weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TOOLS = [{"type": "function", "function": TOOL}]
_steps = []


def step(function):
    """Registers a step. What it returns was seen."""
    _steps.append(function)
    return function


def refusal(action):
    """How a client tells of an error: the exception's class, status and words."""
    try:
        action()
    except Exception as error:
        status = getattr(error, "status_code", None)
        return [type(error).__name__, status, str(error)]
    return ["nothing", None, ""]


def walk(*arguments):
    """Takes all steps, or those named on the command line; the names of those that failed are keys of `failed`."""
    seen, failed = {}, {}
    for function in _steps:
        if sys.argv[1:] and function.__name__ not in sys.argv[1:]:
            continue
        try:
            result = function(*arguments)
            seen[function.__name__] = asyncio.run(result) if inspect.iscoroutine(result) else result
        except Exception:
            failed[function.__name__] = traceback.format_exc()[-1500:]
    return {"seen": seen, "failed": failed}


def tell(told):
    """The script's last word."""
    print(json.dumps(told))
