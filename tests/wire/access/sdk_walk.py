"""Runs in an environment of its own with only databricks-sdk: what each caller of the access table meets. Prints JSON.

Reads CALLERS, JSON of caller -> token, and THINGS, JSON of word -> thing (world.py).
"""

import json
import os

from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import DatabricksError
from databricks.sdk.version import __version__

THINGS = json.loads(os.environ["THINGS"])
HOST = os.environ["DATABRICKS_HOST"]
ENDPOINT, ENDPOINT_ID = THINGS["endpoint"], THINGS["endpoint_id"]
MODEL, SCOPE, KEY = THINGS["model"], THINGS["scope"], THINGS["key"]

CALLS = {
    "who am I": lambda w: w.current_user.me().user_name,
    "list endpoints": lambda w: ENDPOINT in [found.name for found in w.serving_endpoints.list()],
    "get endpoint": lambda w: w.serving_endpoints.get(ENDPOINT).name == ENDPOINT,
    "query": lambda w: w.serving_endpoints.query(ENDPOINT, dataframe_records=[{"a": 1.0}]).predictions == [1.0],
    "tag endpoint": lambda w: bool(w.serving_endpoints.patch(ENDPOINT, delete_tags=["x"])) or True,
    "permissions": lambda w: bool(w.serving_endpoints.get_permissions(ENDPOINT_ID).access_control_list),
    "get model": lambda w: w.registered_models.get(MODEL).full_name == MODEL,
    "list versions": lambda w: len(list(w.model_versions.list(MODEL))),
    "comment model": lambda w: w.registered_models.update(MODEL, comment="c").comment,
    "read secret": lambda w: bool(w.secrets.get_secret(SCOPE, KEY).value),
    "write secret": lambda w: w.secrets.put_secret(SCOPE, "walk", string_value="x"),
    "list scopes": lambda w: SCOPE in [found.name for found in w.secrets.list_scopes()],
    "create a user": lambda w: w.users.create(user_name=f"somebody-{__version__}@example.com").user_name[:8],
}


def outcome(call, w):
    try:
        return call(w)
    except DatabricksError as error:
        assert str(error), "an error has a message"
        return type(error).__name__


seen = {}
for caller, token in json.loads(os.environ["CALLERS"]).items():
    # Not retrying what is refused takes no setting: 401, 403 and 404 are final.
    w = WorkspaceClient(config=Config(host=HOST, token=token, auth_type="pat"))
    seen[caller] = {name: outcome(call, w) for name, call in CALLS.items()}
print(json.dumps(seen))
