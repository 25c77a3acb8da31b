# After the last member central management must see no `pending` at the end of `timeouts.verify` (design.md 5, cluster member)
fleet: |
  clusters: {us: {}}
  appliances:
    - {name: us-m, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-master]}}
faults: |
  behaviours:
    - {appliance: us-m, does: {cluster_pending: {}}}
run
