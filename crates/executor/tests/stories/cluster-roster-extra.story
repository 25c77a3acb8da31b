# A cluster that central management sees otherwise than the inventory does not begin: a member is one more (design.md 6.3; semantics.md `cluster`)
fleet: |
  clusters: {us: {}}
  appliances:
    - {name: us-m, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-master]}}
faults: |
  behaviours:
    - {appliance: us-cm, does: {cluster_stranger: {fqdn: us-m9.example}}}
run
