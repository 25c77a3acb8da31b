# With `allow_attended` an attended pair is a member like others: the next rank waits for the pair to be whole (design.md 5; semantics.md `allow_attended`)
fleet: |
  clusters: {us: {allow_attended: true}}
  appliances:
    - {name: us-m, upgrade_call: arms, ha: {mode: attended}, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-master]}}
when us-m is armed +6m: person confirm us-m peer-has-firmware
when PERSON confirm us-m peer-has-firmware +1m: hands us-m secondary-off
when PERSON confirm us-m peer-has-firmware +5m: person confirm us-m secondary-off
when PERSON confirm us-m secondary-off +2m: hands us-m reboot
when us-m is verified +1m: hands us-m secondary-on
when us-m is verified +8m: person confirm us-m secondary-on
when PERSON confirm us-m secondary-on +10m: person confirm us-m pair-healthy
serve 5h
