# Two hops take the whole cluster twice, in its order each time (design.md 6.3)
fleet: |
  clusters: {us: {}}
  appliances:
    - {name: us-m, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-master]}}
rollout: |
  firmware:
    version: 7.5.1
    sha256: $sha(7.5.1)
    fetch: $url(7.5.1)
    via:
      - {version: 7.3.0}
appliance us-m version 7.1.0
appliance us-cm version 7.1.0
run
