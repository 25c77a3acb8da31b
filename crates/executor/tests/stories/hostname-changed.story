# A host name that changed since the last rollout is a hold until a person accepts it (semantics.md `hostname`)
fleet: |
  appliances:
    - {name: a}
rollout: |
  message: "CHG1"
rollout next: |
  firmware: {version: 7.6.0, sha256: $sha(7.6.0), fetch: $url(7.6.0)}
faults: |
  behaviours:
    - {appliance: a, does: {other_admin: {when: {at: 1h}, act: {hostname: {hostname: sps-new}}}}}
run r1
wait 2h
run next
person retry a
run next
