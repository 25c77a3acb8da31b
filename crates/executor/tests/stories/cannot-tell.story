# The program was dead while an appliance may have reverted unseen: nobody guesses, a person says what became of it (semantics.md Cannot tell; design.md 6.1)
fleet: |
  appliances:
    - {name: a}
faults: |
  behaviours:
    - {appliance: a, does: {revert: {}}}
when a GOES DOWN +15s: kill for 2h
run
person retry a
person resolve a done
run
person retry a
person resume
run
