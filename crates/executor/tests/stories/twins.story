# Two entries that are one appliance are both held: it would be upgraded twice (design.md 6.1; semantics.md `hostname`)
fleet: |
  appliances:
    - {name: a}
    - {name: b}
    - {name: c}
appliance a hostname sps certificate one
appliance b hostname sps certificate one
run
person skip b
person retry a
run
