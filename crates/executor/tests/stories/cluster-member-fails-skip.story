# A member that fails may be left out by a person; then the rest goes on and the audit gap stays open (design.md 6.4; semantics.md Holds)
fleet: |
  clusters:
    us: {parallel: 1}
  appliances:
    - {name: us-m1, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-m2, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-host, cluster: {name: us, roles: [managed-host, search-local]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-local]}}
    - {name: us-master, cluster: {name: us, roles: [managed-host, search-master]}}
rollout: |
  failure_budget: {count: 9}
faults: |
  behaviours:
    - {appliance: us-m2, does: {revert: {times: 9}}}
run
person skip us-m2
person retry us-m2
person skip us-m2
run
