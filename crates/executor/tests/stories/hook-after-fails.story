# A hook after that fails is a warning (semantics.md `hooks`)
fleet: |
  appliances:
    - {name: a1}
rollout: |
  hooks:
    before: {command: [bin/mute]}
    after: {command: [bin/unmute]}
program unmute fails
run
