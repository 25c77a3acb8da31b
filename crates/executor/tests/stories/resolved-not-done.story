# The program died before the call was sent and was dead for long: a person says that it was not done, and it is made then, once (semantics.md Cannot tell; design.md 6.1)
fleet: |
  appliances:
    - {name: a}
when a GOES DOWN: kill for 2h
run
person resolve a not-done
run
