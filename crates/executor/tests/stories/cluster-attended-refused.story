# An attended pair inside a cluster is refused by the planner unless it is allowed: a person's steps would widen the audit gap (design.md 5; semantics.md `allow_attended`)
fleet: |
  clusters: {us: {allow_attended: false}}
  appliances:
    - {name: us-m, upgrade_call: arms, ha: {mode: attended}, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-master]}}
