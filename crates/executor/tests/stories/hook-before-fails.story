# A hook before that fails is a hold: its appliance does not go down, it is not run again by itself, others go on (semantics.md `hooks`)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
rollout: |
  hooks:
    before: {command: [bin/mute]}
    after: {command: [bin/unmute]}
program mute fails for a1
run
run
program mute works
person retry a1
run
