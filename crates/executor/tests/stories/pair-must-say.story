# A pair that does not say what its upgrade call does is refused: the order of its steps depends on it (design.md 5; semantics.md `upgrade_call`)
fleet: |
  appliances:
    - {name: a, ha: {mode: automatic}}
