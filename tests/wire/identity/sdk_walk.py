"""Users, groups, service principals and tokens with databricks-sdk, old or new, on the server in the environment. Prints JSON."""

import json

from databricks.sdk import WorkspaceClient, errors
from databricks.sdk.service import iam

client = WorkspaceClient()
me, users, groups, robots = client.current_user, client.users, client.groups, client.service_principals
tokens, managed = client.tokens, client.token_management
PATCH = [iam.PatchSchema.URN_IETF_PARAMS_SCIM_API_MESSAGES_2_0_PATCH_OP]
ADD, REMOVE, REPLACE = iam.PatchOp.ADD, iam.PatchOp.REMOVE, iam.PatchOp.REPLACE
seen = {}


def refusal(action):
    try:
        action()
    except errors.DatabricksError as error:
        return [type(error).__name__, str(error)]
    return ["nothing", ""]


def value(one):
    return iam.ComplexValue(value=one)


def names(entries):
    return sorted(entry.display for entry in entries or [])


def as_other(token):
    return WorkspaceClient(host=client.config.host, token=token)


seen["me"] = [me.me().user_name, names(me.me().groups), client.get_workspace_id()]

cleo = users.create(
    user_name="cleo@example.com",
    display_name="Cleo",
    name=iam.Name(given_name="Cleo", family_name="K."),
    active=True,
    entitlements=[value("workspace-access")],
)
seen["created"] = [cleo.user_name, cleo.display_name, cleo.name.family_name, cleo.active, cleo.entitlements[0].value]
seen["same"] = users.get(cleo.id).as_dict() == cleo.as_dict()
users.create(user_name="max@example.com")
seen["filtered"] = [one.id for one in users.list(filter='userName eq "Cleo@example.com"')] == [cleo.id]
seen["contains"] = sorted(one.user_name for one in users.list(filter='displayName co "example" or displayName sw "cl"'))
seen["paged"] = [one.user_name for one in users.list(count=1, attributes="userName", sort_by="userName")]
users.patch(cleo.id, schemas=PATCH, operations=[iam.Patch(op=REPLACE, path="displayName", value="Cleopatra")])
users.update(cleo.id, user_name="cleo@example.com", display_name="Cleo", active=True)
seen["updated"] = [users.get(cleo.id).display_name, users.get(cleo.id).entitlements]

robot = robots.create(display_name="nightly", active=True)
found = list(robots.list(filter=f'applicationId eq "{robot.application_id}"'))
seen["robot"] = [robot.display_name, [one.id for one in found] == [robot.id], len(robot.application_id)]
robots.patch(robot.id, schemas=PATCH, operations=[iam.Patch(op=ADD, path="roles", value=[value("r").as_dict()])])
seen["robot roles"] = [role.value for role in robots.get(robot.id).roles]
robots.update(robot.id, display_name="daily", application_id=robot.application_id, active=True)
seen["robot updated"] = robots.get(robot.id).display_name

team = groups.create(display_name="team", members=[value(cleo.id)])
groups.patch(team.id, schemas=PATCH, operations=[iam.Patch(op=ADD, value={"members": [{"value": robot.id}]})])
seen["members"] = names(groups.get(team.id).members)
outer = groups.create(display_name="outer", members=[value(team.id)])
seen["groups of cleo"] = names(users.get(cleo.id).groups)
groups.patch(team.id, schemas=PATCH, operations=[iam.Patch(op=REMOVE, path=f'members[value eq "{robot.id}"]')])
seen["fewer members"] = names(groups.get(team.id).members)
groups.update(outer.id, display_name="outermost", members=[value(team.id), value(robot.id)])
seen["replaced"] = [groups.get(outer.id).display_name, names(groups.get(outer.id).members)]
seen["listed groups"] = sorted(one.display_name for one in groups.list())

made = managed.create_obo_token(application_id=robot.application_id, lifetime_seconds=3600, comment="nightly's")
daily = as_other(made.token_value)
seen["robot is"] = [daily.current_user.me().display_name, made.token_info.comment]
own = daily.tokens.create(comment="own", lifetime_seconds=60)
seen["own tokens"] = sorted(one.comment for one in daily.tokens.list())
seen["lifetime"] = own.token_info.expiry_time - own.token_info.creation_time
listed = list(managed.list())
seen["managed"] = sorted(one.comment for one in listed)
seen["creators"] = sorted({one.created_by_username for one in listed})
seen["got"] = managed.get(own.token_info.token_id).token_info.comment
daily.tokens.delete(made.token_info.token_id)
seen["revoked"] = refusal(daily.current_user.me)
managed.delete(own.token_info.token_id)
seen["revoked too"] = refusal(as_other(own.token_value).current_user.me)

again = as_other(managed.create_obo_token(application_id=robot.application_id, lifetime_seconds=60).token_value)
seen["refusals"] = {
    "taken": refusal(lambda: users.create(user_name="CLEO@example.com")),
    "unknown": refusal(lambda: users.get("99")),
    "circle": refusal(lambda: groups.update(team.id, display_name="team", members=[value(outer.id)])),
    "filter": refusal(lambda: list(users.list(filter="userName is x"))),
    "not an administrator": refusal(lambda: again.users.create(user_name="eve@example.com")),
    "others tokens": refusal(lambda: list(again.token_management.list())),
    "the administrator": refusal(lambda: users.delete("1")),
}
seen["may read"] = len(list(again.users.list())) >= 3
robots.patch(robot.id, schemas=PATCH, operations=[iam.Patch(op=REPLACE, path="active", value="false")])
seen["deactivated"] = refusal(again.current_user.me)

for one in (outer, team):
    groups.delete(one.id)
robots.delete(robot.id)
users.delete(cleo.id)
seen["left"] = [
    [one.user_name for one in users.list()],
    [one.display_name for one in groups.list()],
    len(list(robots.list())),
]
print(json.dumps(seen))
