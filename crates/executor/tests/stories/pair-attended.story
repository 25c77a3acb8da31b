# An attended pair: the person's steps in their order, each confirmed; nothing else of its group goes down meanwhile, and no step is confirmed before its turn (design.md 5; 6.2)
fleet: |
  redundancy_groups: {edge: {unavailable: 1}}
  appliances:
    - {name: a, redundancy_group: edge, upgrade_call: arms, ha: {mode: attended}}
    - {name: b, redundancy_group: edge}
rollout: |
  limits: {unavailable: 2}
when a is armed +1m: person confirm a secondary-off
when a is armed +1m: person confirm a secondary-on
when a is armed +6m: person confirm a peer-has-firmware
when PERSON confirm a peer-has-firmware +1m: hands a secondary-off
when PERSON confirm a peer-has-firmware +5m: person confirm a secondary-off
when PERSON confirm a secondary-off +2m: hands a reboot
when a is verified +1m: hands a secondary-on
when a is verified +8m: person confirm a secondary-on
when PERSON confirm a secondary-on +10m: person confirm a pair-healthy
when a is verified +2m: look
serve 8h
