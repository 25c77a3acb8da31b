# Told to make room, the oldest slot is deleted that is neither running, armed nor the way back (design.md 6.10; semantics.md `slots.make_room`)
fleet: |
  appliances:
    - {name: a}
rollout: |
  slots: {make_room: oldest}
appliance a slot 2 7.4.0 slot 3 7.3.0 slot 4 7.2.0
run
