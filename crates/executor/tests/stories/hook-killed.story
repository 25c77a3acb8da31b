# A hook over which the program died is not run again by itself: a person says what became of it (design.md 6.1; semantics.md `hooks`)
fleet: |
  appliances:
    - {name: a1}
rollout: |
  hooks:
    before: {command: [bin/mute]}
    after: {command: [bin/unmute]}
when hook before of a1 runs +2s: kill
run
person resolve a1 done
run
