"""What a program does that knows a host, a client id and a secret. Run in a client's environment; prints what it saw."""

import json
import os

from databricks.sdk import AccountClient, WorkspaceClient

w = WorkspaceClient()
seen = {"auth": w.config.auth_type, "me": w.current_user.me().user_name}
endpoint = w.serving_endpoints.get("quick")
info = endpoint.data_plane_info.query_info
seen["endpoint"] = [endpoint.route_optimized, info.endpoint_url, endpoint.permission_level.value]
answer = w.serving_endpoints_data_plane.query("quick", dataframe_records=[{"a": 1.0}, {"a": 2.0}])
seen["data plane"] = answer.predictions
seen["again"] = w.serving_endpoints_data_plane.query("quick", dataframe_records=[{"a": 1.0}]).predictions
seen["ordinary path"] = w.serving_endpoints.query("quick", dataframe_records=[{"a": 1.0}]).predictions

admin = WorkspaceClient(host=os.environ["DATABRICKS_HOST"], token=os.environ["ADMIN_TOKEN"], auth_type="pat")
robot = next(iter(admin.service_principals.list(filter=f'applicationId eq "{os.environ["DATABRICKS_CLIENT_ID"]}"')))
number = int(robot.id) if os.environ["SDK"] == "old" else robot.id
proxied = admin.service_principal_secrets_proxy
made = proxied.create(number, lifetime="3600s")
listed = list(proxied.list(number))
seen["secrets"] = [
    made.status,
    made.id in [one.id for one in listed],
    len(listed),
    all(one.expire_time for one in listed),
]
with_new = WorkspaceClient(
    host=os.environ["DATABRICKS_HOST"], client_id=robot.application_id, client_secret=made.secret
)
seen["with a new secret"] = with_new.current_user.me().user_name
proxied.delete(number, made.id)
seen["left"] = len(list(proxied.list(number)))

account = AccountClient(
    host=os.environ["DATABRICKS_HOST"],
    account_id="11111111-2222-3333-4444-555555555555",
    token=os.environ["ADMIN_TOKEN"],
    auth_type="pat",
)
made = account.service_principal_secrets.create(number)
account.service_principal_secrets.delete(number, made.id)
seen["account"] = [bool(made.secret), len(list(account.service_principal_secrets.list(number)))]

seen["refusals"] = {}
for name, attempt in {
    "personal token": lambda: admin.serving_endpoints.query("quick", dataframe_records=[{"a": 1.0}]),
    "wrong secret": lambda: WorkspaceClient(
        host=os.environ["DATABRICKS_HOST"], client_id=robot.application_id, client_secret="wrong", auth_type="oauth-m2m"
    ).current_user.me(),
}.items():
    try:
        attempt()
    except Exception as error:
        seen["refusals"][name] = [type(error).__name__, str(error)]
print(json.dumps(seen))
