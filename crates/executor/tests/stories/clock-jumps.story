# The wall clock jumps back over a soak and forth again: no window, soak or outcome is believed shorter than it is (design.md 6.4)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
rollout: |
  waves:
    - {name: canary, select: {names: [a1]}, soak: 2h}
    - {name: rest}
when a1 restarts +10s: clock -1h
at +30m: look
run
