# Who did not answer is set aside, asked again, and taken when it answers (semantics.md `unreachable.wait`)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
hands a1 power-off
at +50m: hands a1 power-on
run
