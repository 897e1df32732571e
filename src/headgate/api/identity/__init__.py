"""Users, groups and service principals over SCIM, and personal access tokens."""
