# No empty slot: a failure that lists the slots, nothing is deleted unless told (design.md 6.10; semantics.md `slots.make_room`)
fleet: |
  appliances:
    - {name: a}
appliance a slot 2 7.4.0 slot 3 7.3.0 slot 4 7.2.0
run
