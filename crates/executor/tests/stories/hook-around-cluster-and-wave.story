# Hooks around a cluster and a wave run once each, before the first goes down and after the last is through (semantics.md `hooks`)
fleet: |
  clusters: {us: {}}
  appliances:
    - {name: us-m, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-master]}}
rollout: |
  hooks:
    wave_before: {command: [w1]}
    cluster_before: {command: [c1]}
    cluster_after: {command: [c2]}
    wave_after: {command: [w2]}
run
